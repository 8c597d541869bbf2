"""The problem that a command is about: its files and options, and the objective."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from planner.objective import LevelName, Objective
    from planner.placement import Placement
    from planner.problem import Problem
    from topologies.fabric import Fabric

__all__ = ["JobsOption", "RoutingOption", "SeedOption", "StateOption", "load_problem", "objective_of"]

JobsOption = Annotated[Path, typer.Option("--jobs", help="The job file.")]
StateOption = Annotated[Path | None, typer.Option("--state", help="The state file; left out, everything is free.")]
RoutingOption = Annotated[
    str,
    typer.Option("--routing", help="How flows find their ways: spray, ecmp, dmodk, adaptive; static by tables read."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same answer.")]


def load_problem(
    fabric: str,
    jobs: Path | None,
    state: Path | None,
    routing: str,
    *,
    running: Path | None = None,
    objective: Objective | None = None,
    expected: tuple[tuple[int, float], ...] = (),
) -> Problem:
    """Load the files of a problem.

    Parameters
    ----------
    running
        Placement file of jobs of the job file that run already.

    Raises
    ------
    InputError
        If a file cannot be used, or they do not fit each other.
    """
    from planner.files.jobs_file import load_jobs
    from planner.files.state_file import load_state
    from planner.objective import Objective
    from planner.problem import Problem
    from planner.state import ClusterState
    from topologies.formats.importing import open_fabric

    opened = open_fabric(fabric)
    loaded = opened.fabric
    now = ClusterState.empty(loaded) if state is None else load_state(state, loaded)
    return Problem(
        loaded,
        now,
        () if jobs is None else load_jobs(jobs),
        objective=objective or Objective(),
        routing=routing,
        routes=opened.routes,
        running={} if running is None else _running(running, loaded),
        expected=expected,
    )


def _running(path: Path, fabric: Fabric) -> dict[str, Any]:
    """Return where jobs run.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    from topologies.errors import InputError

    placement: Placement = _load_placement(path, fabric)
    if placement.spares:
        raise InputError(
            what="running jobs cannot hold spare hosts",
            where=f"{path}: spares",
            found=repr(next(iter(placement.spares))),
            fix="state those hosts as reserved",
        )
    return dict(placement.ranks)


def _load_placement(path: Path, fabric: Fabric) -> Placement:
    from planner.files.placement_file import load_placement

    return load_placement(path, fabric)


def objective_of(levels: str | None, weights: list[str] | None) -> Objective:
    """Return the objective that options name: levels in order, or weights instead of levels.

    Raises
    ------
    InputError
        If both are given, a level is unknown or named twice, or a weight is no number above 0.
    """
    from planner.objective import Objective
    from topologies.errors import InputError

    if levels and weights:
        raise InputError(
            what="levels and weights exclude each other", where="--levels, --weight", fix="leave out one of the two"
        )
    if levels:
        names = tuple(_level(name.strip(), "--levels") for name in levels.split(","))
        if len(set(names)) < len(names):
            raise InputError(what="a level is named twice", where="--levels", found=repr(levels))
        return Objective(names)
    if not weights:
        return Objective()
    found: dict[LevelName, float] = {}
    for text in weights:
        name, equals, number = text.partition("=")
        level = _level(name.strip(), "--weight")
        value = _number(number) if equals else None
        if value is None or level in found:
            raise InputError(
                what="a weight is given twice" if level in found else "a weight is a level and a number above 0",
                where="--weight",
                found=repr(text),
                allowed="as in excess_slowdown=10, each level once",
            )
        found[level] = value
    return Objective(tuple(found), weights=found)


def _level(name: str, option: str) -> LevelName:
    from planner.objective import LEVELS
    from topologies.errors import InputError

    level = next((level for level in LEVELS.values() if level.name == name), None)
    if level is None:
        raise InputError(what="no such level", where=option, found=repr(name), allowed=", ".join(LEVELS))
    return level.name


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def expected_of(texts: list[str] | None) -> tuple[tuple[int, float], ...]:
    """Return the demand to come that options state, as in ``8:0.7``: accelerators on one host, and how often.

    Raises
    ------
    InputError
        If a text is not that.
    """
    from topologies.errors import InputError

    found = []
    for text in texts or []:
        size, _, often = text.partition(":")
        value = _number(often or "1")
        if not (size.isascii() and size.isdigit() and int(size)) or value is None:
            raise InputError(
                what="demand to come is accelerators on one host and how often",
                where="--expect",
                found=repr(text),
                allowed="as in 8:0.7",
            )
        found.append((int(size), value))
    return tuple(found)
