"""Studies, and the door to the reports on them: entry points ``scaleplan.reports``, one a kind of study."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from planner.files.pdf import write_pdf
from planner.files.writing import write_text
from planner.placement import Placement
from planner.problem import Problem
from planner.result import Result, versions
from planner.score import Score
from topologies.errors import InputError
from topologies.fabric import Fabric

if TYPE_CHECKING:
    import planner.weigh.study_file as weigh
    from planner.collectives.measured.calibrate import ComparedRow
    from planner.congestion.collisions import CollisionReport
    from planner.replay.result import PolicyResult
    from planner.slurm.journal import Decision

__all__ = [
    "CompareStudy",
    "FabricStudy",
    "Judged",
    "ObserveStudy",
    "PlacementStudy",
    "Provenance",
    "ReplayStudy",
    "Report",
    "ScoreStudy",
    "Study",
    "WeighStudy",
    "fingerprints",
    "write_report",
]

ENTRY_POINT_GROUP = "scaleplan.reports"


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a study was made.

    Attributes
    ----------
    command
        What was typed.
    inputs
        Name of each input → SHA-256 of its bytes, or where it comes from.
    versions
        Versions that the answer hangs on.
    """

    command: str
    inputs: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=versions)

    @classmethod
    def of(cls, inputs: Sequence[str | Path]) -> Provenance:
        """Return the provenance of what this process was called for."""
        return cls("scaleplan " + shlex.join(sys.argv[1:]), fingerprints(inputs))


@dataclass(frozen=True, eq=False)
class FabricStudy:
    """A fabric, looked at."""

    kind = "fabric"
    title: str
    fabric: Fabric
    provenance: Provenance


@dataclass(frozen=True, eq=False)
class PlacementStudy:
    """A batch placed on a fabric: the first result is the answer, the others stand beside it."""

    kind = "placement"
    title: str
    problem: Problem
    results: tuple[Result, ...]
    provenance: Provenance
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class WeighStudy:
    """Rack designs weighed against each other.

    Attributes
    ----------
    study
        Designs, workloads, sizes, limits and assumptions.
    cells, front, decision
        As `planner.weigh` makes them; the decision is empty where parameters were swept.
    swept
        Names of the parameters that were varied.
    """

    kind = "weigh"
    title: str
    study: weigh.Study
    cells: Sequence[Mapping[str, Any]]
    front: Sequence[int]
    decision: Mapping[str, Any]
    provenance: Provenance
    swept: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class ReplayStudy:
    """A trace replayed on a fabric under policies: the first outcome is the answer, the others stand beside it.

    Attributes
    ----------
    trace, num_jobs, mended
        Where the trace comes from, how many jobs it has, and what was done to its rows, counted.
    rules
        How the cluster was run, name → in words.
    """

    kind = "replay"
    title: str
    fabric: Fabric
    trace: str
    num_jobs: int
    mended: Mapping[str, int]
    outcomes: tuple[PolicyResult, ...]
    rules: Mapping[str, str]
    provenance: Provenance


@dataclass(frozen=True, eq=False)
class Judged:
    """A placement and what `evaluate` says of it; a `Result` without a solver's bound and time."""

    solver: str
    placement: Placement
    score: Score


@dataclass(frozen=True, eq=False)
class ScoreStudy:
    """A placement judged: who waits for whom on the network.

    Attributes
    ----------
    collisions
        The same jobs under ECMP, hashed anew again and again; None if that was not asked for.
    measured, efficiency
        Rows of nccl-tests logs beside the model, and where the model's efficiencies come from.
    """

    kind = "score"
    title: str
    problem: Problem
    judged: Judged
    provenance: Provenance
    seed: int = 0
    collisions: CollisionReport | None = None
    measured: tuple[ComparedRow, ...] = ()
    efficiency: str = ""


@dataclass(frozen=True, eq=False)
class ObserveStudy:
    """What planning would have saved on a running Slurm, from its journal.

    Attributes
    ----------
    days
        How far back.
    figures
        Sums, by name, as `planner.slurm.savings.summary` makes them.
    decisions
        What would have been decided, a job each, oldest first.
    """

    kind = "observe"
    title: str
    days: float
    figures: Mapping[str, Any]
    decisions: Sequence[Decision]
    provenance: Provenance


@dataclass(frozen=True, eq=False)
class CompareStudy:
    """Two or more results of one kind side by side: the first is what the others are held against.

    Attributes
    ----------
    names
        Of the results, for people.
    documents
        What ``--json`` printed for each.
    """

    kind = "compare"
    title: str
    names: tuple[str, ...]
    documents: tuple[Mapping[str, Any], ...]
    provenance: Provenance


Study = CompareStudy | ObserveStudy | ScoreStudy | FabricStudy | PlacementStudy | WeighStudy | ReplayStudy


class Report(Protocol):
    """Makes a page of a kind of study."""

    def render(self, study: Any) -> str:
        """Return one self-contained HTML page."""
        ...

    def render_markdown(self, study: Any) -> str:
        """Return the page's words and tables as Markdown."""
        ...


def fingerprints(inputs: Sequence[str | Path]) -> dict[str, str]:
    """Return the SHA-256 of each input that is a file; other inputs are told as they are."""
    found = {}
    for name in inputs:
        path = Path(name)
        found[str(name)] = (
            "sha256 " + hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "part of scaleplan"
        )
    return found


def write_report(study: Study, path: str | os.PathLike[str], *, form: str | None = None) -> None:
    """Write the page of a study, whole or not at all.

    Parameters
    ----------
    form
        ``html``, ``markdown`` or ``pdf``; left out, by the file's ending: .md, .pdf, else HTML.

    Raises
    ------
    InputError
        If no report of that kind is installed.
    OutputError
        If the file cannot be written, or no Chromium is there to print a PDF.
    """
    wanted = form or {".pdf": "pdf", ".md": "markdown"}.get(Path(path).suffix.lower(), "html")
    for point in entry_points(group=ENTRY_POINT_GROUP, name=study.kind):
        report: Report = point.load()()
        if wanted == "pdf":
            write_pdf(report.render(study), path)
        else:
            write_text(path, report.render_markdown(study) if wanted == "markdown" else report.render(study))
        return
    raise InputError(what="no report of this kind is installed", where="report", found=repr(study.kind))
