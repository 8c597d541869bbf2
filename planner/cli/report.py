"""``scaleplan report``: an HTML page about a fabric, or about a batch placed on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.fabric import FabricArgument
from planner.cli.output import print_lines

if TYPE_CHECKING:
    from planner.problem import Problem
    from planner.result import Result

__all__ = ["register", "write_placement_report"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(report)


def report(
    fabric: FabricArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file to write.")],
    jobs: Annotated[Path | None, typer.Option("--jobs", help="The job file.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="The state file.")] = None,
    time_limit: Annotated[float, typer.Option("--time-limit", help="Seconds a solver may take.")] = 10.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same answer.")] = 1,
) -> None:
    """Write an HTML report: of the fabric alone, or with --jobs of a batch placed on it."""
    if jobs is None:
        from planner.report import FabricStudy, Provenance, write_report
        from topologies.files.fabric_file import load_fabric

        loaded = load_fabric(fabric)
        write_report(FabricStudy(loaded.name, loaded, Provenance.of([fabric])), output)
    else:
        from planner.cli.place import DEFAULT_SOLVERS, solve_all
        from planner.cli.problem import load_problem

        problem = load_problem(fabric, jobs, state, "spray")
        results = solve_all(problem, list(DEFAULT_SOLVERS), time_limit_s=time_limit, seed=seed)
        inputs: list[str | Path] = [fabric, jobs, *([state] if state else [])]
        write_placement_report(problem, results, output, title=f"Placement on {problem.fabric.name}", inputs=inputs)
    print_lines([f"written {output}"])


def write_placement_report(
    problem: Problem,
    results: list[Result],
    path: Path,
    *,
    title: str,
    inputs: Sequence[str | Path] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write the report of a placement; the first result is the answer.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from planner.report import PlacementStudy, Provenance, write_report

    write_report(PlacementStudy(title, problem, tuple(results), Provenance.of(inputs), tuple(notes)), path)
