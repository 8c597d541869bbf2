"""``scaleplan demo``: real jobs on a real fabric, from drawing the batch to the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.output import print_lines

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(demo)


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML report to write.")] = Path("out/demo.html"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the batch and steers the solvers.")] = 1,
    load: Annotated[float, typer.Option("--load", help="Accelerators asked for, as a fraction of those there.")] = 1.05,
    time_limit: Annotated[float, typer.Option("--time-limit", help="Seconds a solver may take.")] = 10.0,
) -> None:
    """Place jobs of a real cluster on its real fabric, and on a catalogue design of the same size."""
    from planner.cli.place import DEFAULT_SOLVERS, results_table, solve_all
    from planner.cli.report import write_placement_report
    from planner.demo import DESIGN, REAL_FABRIC, draw_batch
    from planner.problem import Problem
    from planner.state import ClusterState
    from topologies.files.fabric_file import load_fabric

    real = load_fabric(REAL_FABRIC)
    batch = draw_batch(real.num_accelerators, load=load, seed=seed)
    design = load_fabric(DESIGN)
    print_lines(
        [
            f"{len(batch.jobs)} jobs drawn from {batch.source}",
            *(f"assumed: {text}" for text in batch.assumptions),
        ]
    )
    answers = []
    for fabric in (real, design):
        problem = Problem(fabric, ClusterState.empty(fabric), batch.jobs, routing="ecmp")
        results = solve_all(problem, list(DEFAULT_SOLVERS), time_limit_s=time_limit, seed=seed)
        results_table(problem, results)
        answers.append((problem, results))
    problem, results = answers[0]
    write_placement_report(
        problem,
        results,
        output,
        title=f"{len(batch.jobs)} jobs of a real cluster on its real fabric",
        inputs=[REAL_FABRIC, batch.source],
        notes=batch.assumptions,
    )
    print_lines([f"report: {output}"])
