"""``scaleplan report``: an HTML page about a fabric, about a batch placed on it, or about results side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from planner.cli.output import print_lines
from topologies.errors import InputError

if TYPE_CHECKING:
    from planner.problem import Problem
    from planner.result import Result

__all__ = ["register", "write_placement_report"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(report)


def report(
    subject: Annotated[
        list[str],
        typer.Argument(help="A fabric file or a name of the catalogue; or two or more results that --json printed."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file to write.")],
    jobs: Annotated[Path | None, typer.Option("--jobs", help="The job file.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="The state file.")] = None,
    time_limit: Annotated[float, typer.Option("--time-limit", help="Seconds a solver may take.")] = 10.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same answer.")] = 1,
) -> None:
    """Write an HTML report: of a fabric, with --jobs of a batch placed on it, or of results side by side."""
    fabric = subject[0]
    if len(subject) > 1:
        from planner.files.result_files import load_results
        from planner.report import CompareStudy, Provenance, write_report

        if jobs is not None or state is not None:
            raise InputError(
                what="results are compared as they are",
                where="--jobs" if jobs else "--state",
                allowed="result files alone",
            )
        names, documents = load_results(subject)
        title = f"{names[0]} beside {', '.join(names[1:])}"
        write_report(CompareStudy(title, names, documents, Provenance.of(subject)), output)
    elif jobs is None:
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
