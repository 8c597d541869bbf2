"""Reads a study: designs, workloads, sizes, limits and assumptions; from a file or by the names of the catalogue."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, cast

from planner.workloads.frameworks import FRAMEWORKS
from planner.workloads.machine import Machine, machine_of_part
from planner.workloads.model_catalogue import find_model
from planner.workloads.training import JobKind, TrainingJob
from topologies.errors import InputError
from topologies.files.reading import nearest
from topologies.parts import Part
from topologies.parts_catalog import find_part, load_parts
from topologies.units import from_gb_per_s, from_gbps

__all__ = ["Assumptions", "Design", "Limits", "Study", "Workload", "designs_file", "load_study", "named_study"]


@dataclass(frozen=True, slots=True)
class Design:
    """A rack design.

    Attributes
    ----------
    name
        For people.
    part
        Its accelerator.
    values
        What the file says of it, by key; ``None`` where it follows from the part.
    """

    name: str
    part: Part
    values: dict[str, Any] = field(default_factory=dict)

    def machine(self, num_accelerators: int) -> Machine:
        """Return a cluster of the design.

        Raises
        ------
        InputError
            If the design cannot be built.
        """
        v = self.values
        scale_up, nic = v.get("scale_up_gb_per_s"), v.get("nic_gbps")
        return machine_of_part(
            self.part,
            num_accelerators,
            domain=v.get("scale_up_domain"),
            scale_up_bytes_per_s=from_gb_per_s(scale_up) if scale_up else None,
            nic_bytes_per_s=from_gbps(nic) if nic else None,
            leaf_accelerators=v.get("leaf_accelerators"),
            oversubscription=v.get("oversubscription") or 1.0,
            name=self.name,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as plain data: a part's read-only mappings do not travel to other processes."""
        part = self.part
        plain = (part.id, part.part_class, part.vendor, part.description, dict(part.values), dict(part.sources))
        return _rebuilt, (self.name, (*plain, part.unverified), self.values)

    def changed(self, **values: Any) -> Design:
        """Return the design with some values replaced."""
        return replace(self, values={**self.values, **values})


def _rebuilt(name: str, plain: tuple[Any, ...], values: dict[str, Any]) -> Design:
    return Design(name, Part(*plain), values)


@dataclass(frozen=True, slots=True)
class Workload:
    """A training run by name; its job depends on what the accelerator computes in."""

    name: str
    values: dict[str, Any]

    def job(self, machine: Machine) -> TrainingJob:
        """Return the run on a machine: in its precision, or in bf16 where the accelerator has not got it.

        Raises
        ------
        InputError
            If the workload names no model or framework that there is.
        """
        v = self.values
        framework = FRAMEWORKS.get(v.get("framework", "nemo"))
        if framework is None:
            raise InputError(
                what="no such framework", where=self.name, found=repr(v["framework"]), allowed=", ".join(FRAMEWORKS)
            )
        precision = v["precision"] if v["precision"] in machine.peak_flops_per_s else "bf16"
        return TrainingJob(
            find_model(v["model"]),
            int(v["seq"]),
            int(v["global_batch"]),
            precision,
            framework,
            cast("JobKind", v.get("kind", "pretrain")),
            float(v["tokens"]),
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """What an architect is held to; ``None`` is no limit."""

    rack_kw: float | None = None
    cooling: str = "liquid"
    power_kw: float | None = None
    budget_usd: float | None = None
    racks: int | None = None
    available_by: str | None = None


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Prices and failures that no part states; see `planner.weigh.study_schema.AssumptionsEntry` for the defaults."""

    power_usd_per_kwh: float = 0.08
    pue: float = 1.25
    depreciation_years: float = 5.0
    accelerator_mtbf_h: float = 50_700.0
    restart_s: float = 600.0
    checkpoint_s: float = 30.0
    repair_h: float = 24.0


@dataclass(frozen=True, slots=True)
class Study:
    """Designs × workloads × sizes, with limits and assumptions."""

    designs: tuple[Design, ...]
    workloads: tuple[Workload, ...]
    sizes: tuple[int, ...]
    limits: Limits = Limits()
    assumptions: Assumptions = Assumptions()


def designs_file() -> Path:
    """Return the catalogue of designs and workloads."""
    return Path(str(resources.files("planner"))) / "weigh" / "designs.yaml"


def load_study(path: str | os.PathLike[str]) -> Study:
    """Read a study file.

    Raises
    ------
    InputError
        If it is none.
    """
    from planner.weigh.study_schema import StudyFile
    from topologies.files.loading import load_document
    from topologies.files.validated import validate

    document = load_document(path)
    file = validate(StudyFile, document)
    parts = load_parts()
    designs = []
    for name, entry in file.designs.items():
        try:
            part = find_part(parts, entry.accelerator, "accelerator")
        except InputError as error:
            raise InputError(
                what=error.what, where=document.where(("designs", name, "accelerator")), found=error.found,
                allowed=error.allowed, fix=error.fix,
            ) from error  # fmt: skip
        designs.append(Design(name, part, entry.model_dump(exclude={"accelerator"}, exclude_none=True)))
    workloads = [Workload(name, entry.model_dump()) for name, entry in file.workloads.items()]
    for workload in workloads:
        try:
            find_model(workload.values["model"])
        except InputError as error:
            raise InputError(
                what=error.what, where=document.where(("workloads", workload.name, "model")), found=error.found,
                allowed=error.allowed, fix=error.fix,
            ) from error  # fmt: skip
    return Study(
        tuple(designs),
        tuple(workloads),
        tuple(file.sizes),
        Limits(**file.limits.model_dump()),
        Assumptions(**file.assumptions.model_dump()),
    )


@cache
def _catalogue() -> Study:
    return load_study(designs_file())


def named_study(designs: Sequence[str], workloads: Sequence[str], sizes: Sequence[int]) -> Study:
    """Return a study of designs and workloads of the catalogue.

    Raises
    ------
    InputError
        If there is none of a name.
    """
    known = _catalogue()
    chosen_designs = [_named(name, known.designs, "design") for name in designs]
    chosen_workloads = [_named(name, known.workloads, "workload") for name in workloads]
    if not (chosen_designs and chosen_workloads and sizes):
        raise InputError(what="a study needs a design, a workload and a size", where="scaleplan weigh")
    return replace(known, designs=tuple(chosen_designs), workloads=tuple(chosen_workloads), sizes=tuple(sizes))


_NamedT = TypeVar("_NamedT", Design, Workload)


def _named(name: str, known: Sequence[_NamedT], word: str) -> _NamedT:
    for entry in known:
        if entry.name == name:
            return entry
    names = [entry.name for entry in known]
    match = nearest(name, names)
    raise InputError(
        what=f"no such {word}",
        where=f"--{word}s",
        found=repr(name),
        allowed=", ".join(names),
        fix=f"did you mean {match}?" if match else "give a study file",
    )
