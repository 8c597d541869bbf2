"""Reads a study: designs, workloads, sizes, limits and assumptions; from a file or by the names of the catalogue."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from planner.workloads.frameworks import FRAMEWORKS
from planner.workloads.machine import Machine, machine_of_fabric, machine_of_part, used_of_domain
from planner.workloads.model_catalogue import find_model
from planner.workloads.training import JobKind, TrainingJob
from topologies.errors import InfeasibleError, InputError
from topologies.fabric import Fabric
from topologies.files.reading import nearest
from topologies.parts import Part
from topologies.parts_catalog import find_part, load_parts
from topologies.units import from_gb_per_s, from_gbps

if TYPE_CHECKING:
    from planner.weigh.study_schema import DesignEntry
    from topologies.files.document import Document

__all__ = [
    "Assumptions",
    "Design",
    "Limits",
    "Study",
    "Workload",
    "designs_file",
    "fabric_design",
    "load_study",
    "named_study",
]


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

    def fabric(self) -> Fabric | None:
        """Return the fabric that the design is, or ``None`` if it is none."""
        source = self.values.get("fabric")
        return _fabric(str(source)) if source else None

    @property
    def identity(self) -> str:
        """What the design is, for digests: a fabric's fingerprint is in it."""
        fabric = self.fabric()
        told = [self.name, self.part.id, sorted(self.part.values.items()), sorted(self.values.items())]
        return repr(told) + (fabric.fingerprint if fabric is not None else "")

    def machine(self, num_accelerators: int) -> Machine:
        """Return a cluster of the design.

        Raises
        ------
        InputError
            If the design cannot be built, or is a fabric with fewer accelerators.
        """
        v = self.values
        fabric = self.fabric()
        if fabric is not None:
            if num_accelerators > fabric.num_accelerators:
                raise InfeasibleError(
                    what="the fabric has too few accelerators",
                    where=self.name,
                    found=f"{num_accelerators:,}",
                    allowed=f"{fabric.num_accelerators:,}",
                )
            whole = machine_of_fabric(fabric)
            used = used_of_domain(num_accelerators, whole.full_domain)
            return replace(whole, name=self.name, num_accelerators=num_accelerators, domain=used)
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

    def assumed(self, assumptions: Assumptions) -> Assumptions:
        """Return the assumptions with what the design states of its own parts."""
        stated = self.values.get("accelerator_mtbf_h")
        return assumptions.changed({"accelerator_mtbf_h": float(stated)}) if stated else assumptions

    def changed(self, **values: Any) -> Design:
        """Return the design with some values replaced.

        Raises
        ------
        InputError
            If the design is a fabric, which says its network and domains itself.
        """
        fixed = [key for key in values if key in _NETWORK_KEYS]
        if self.values.get("fabric") and fixed:
            raise InputError(
                what="a design that is a fabric cannot be swept over what the fabric says",
                where=self.name,
                found=", ".join(fixed),
                fix="sweep a design with an accelerator, or give several fabrics as designs",
            )
        return replace(self, values={**self.values, **values})


_NETWORK_KEYS = frozenset({"scale_up_domain", "scale_up_gb_per_s", "nic_gbps", "oversubscription", "leaf_accelerators"})


@lru_cache(maxsize=32)
def _fabric(source: str) -> Fabric:
    from topologies.files.fabric_file import load_fabric

    return load_fabric(source)


def _rebuilt(name: str, plain: tuple[Any, ...], values: dict[str, Any]) -> Design:
    return Design(name, Part(*plain), values)


@dataclass(frozen=True, slots=True)
class Workload:
    """A training run or a service by name; its job depends on what the accelerator computes in."""

    name: str
    values: dict[str, Any]

    @property
    def is_serving(self) -> bool:
        """Whether it is served, not trained."""
        return self.values.get("kind") == "serve"

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
    floor_m2: float | None = None
    available_by: str | None = None
    supply: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()


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
    price_basis: str = "capital"
    host_price_frac: float = 0.25
    rack_mtbf_h: float = 100_000.0
    rack_repair_h: float = 24.0
    leaf_mtbf_h: float = 300_000.0
    leaf_repair_h: float = 4.0

    def changed(self, values: Mapping[str, float]) -> Assumptions:
        """Return the assumptions with some numbers replaced."""
        return replace(self, **cast("dict[str, Any]", dict(values)))


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
    designs = [_design(name, entry, document, parts) for name, entry in file.designs.items()]
    unknown = [name for name in file.supply if name not in parts]
    if unknown:
        match = nearest(unknown[0], list(parts))
        raise InputError(
            what="no such part",
            where=document.where(("supply", unknown[0])),
            found=repr(unknown[0]),
            allowed="ids of the parts catalogue",
            fix=f"did you mean {match}?" if match else "see scaleplan's parts",
        )
    workloads = [Workload(name, entry.model_dump()) for name, entry in file.workloads.items()]
    for workload in workloads:
        _check_keys(workload, document, file.workloads[workload.name].model_fields_set)
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
        Limits(
            **file.limits.model_dump(),
            supply=tuple((part, tuple(sorted(months.items()))) for part, months in sorted(file.supply.items())),
        ),
        Assumptions(**file.assumptions.model_dump()),
    )


def _design(name: str, entry: DesignEntry, document: Document, parts: Mapping[str, Part]) -> Design:
    values = entry.model_dump(exclude={"accelerator", "fabric"}, exclude_none=True)
    if (entry.accelerator is None) == (entry.fabric is None):
        raise InputError(
            what="a design is an accelerator or a fabric, one of the two",
            where=document.where(("designs", name)),
            found="both" if entry.fabric else "neither",
            allowed="accelerator: PART, or fabric: NAME or FILE",
        )
    if entry.fabric is None:
        try:
            return Design(name, find_part(parts, str(entry.accelerator), "accelerator"), values)
        except InputError as error:
            raise InputError(
                what=error.what, where=document.where(("designs", name, "accelerator")), found=error.found,
                allowed=error.allowed, fix=error.fix,
            ) from error  # fmt: skip
    stated = sorted(entry.model_fields_set & _NETWORK_KEYS)
    if stated:
        raise InputError(
            what="the fabric says this itself",
            where=document.where(("designs", name, stated[0])),
            found=", ".join(stated),
            fix="leave it out, or give an accelerator in place of the fabric",
        )
    beside = Path(document.name).parent / entry.fabric
    source = str(beside) if beside.is_file() else entry.fabric
    return fabric_design(name, source, {k: v for k, v in values.items() if k not in _NETWORK_KEYS})


_TRAINING_KEYS = ("seq", "global_batch")
_SERVING_KEYS = ("prompt_tokens", "output_tokens")
_ONLY_SERVING = frozenset({*_SERVING_KEYS, "cached_frac", "ttft_ms", "tpot_ms"})


def _check_keys(workload: Workload, document: Document, stated: Collection[str]) -> None:
    """Check that a workload has the keys of its kind, and none of the other's."""
    needed = _SERVING_KEYS if workload.is_serving else _TRAINING_KEYS
    missing = [key for key in needed if workload.values[key] is None]
    strange = sorted(set(stated) & ({*_TRAINING_KEYS, "framework"} if workload.is_serving else _ONLY_SERVING))
    if missing or strange:
        kind = workload.values["kind"]
        raise InputError(
            what=f"a workload of kind {kind} {'needs another key' if missing else 'has a key too many'}",
            where=document.where(("workloads", workload.name)),
            found=f"no {missing[0]}" if missing else strange[0],
            allowed=f"{', '.join(needed)} with kind {kind}",
        )


def fabric_design(name: str, source: str, values: Mapping[str, Any] | None = None) -> Design:
    """Return the design that is a fabric, of the catalogue or a file.

    Raises
    ------
    InputError
        If there is no such fabric, or its accelerators are not of one known part.
    """
    fabric = _fabric(source)
    return Design(name, machine_of_fabric(fabric).part, {**(values or {}), "fabric": source})


@cache
def _catalogue() -> Study:
    return load_study(designs_file())


def named_study(designs: Sequence[str], workloads: Sequence[str], sizes: Sequence[int]) -> Study:
    """Return a study of designs and workloads of the catalogue; a design may be a fabric, by name or file.

    Raises
    ------
    InputError
        If there is none of a name.
    """
    known = _catalogue()
    chosen_designs = [_named_design(name, known.designs) for name in designs]
    chosen_workloads = [_named(name, known.workloads, "workload") for name in workloads]
    if not (chosen_designs and chosen_workloads and sizes):
        raise InputError(what="a study needs a design, a workload and a size", where="scaleplan weigh")
    return replace(known, designs=tuple(chosen_designs), workloads=tuple(chosen_workloads), sizes=tuple(sizes))


_NamedT = TypeVar("_NamedT", Design, Workload)


def _named_design(name: str, known: Sequence[Design]) -> Design:
    from topologies.files.fabric_file import catalog_folder

    looks_like_file = Path(name).suffix in (".yaml", ".yml", ".json") or "/" in name
    if name not in [design.name for design in known] and (
        looks_like_file or (catalog_folder() / f"{name}.yaml").is_file()
    ):
        return fabric_design(Path(name).stem if looks_like_file else name, name)
    return _named(name, known, "design")


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
