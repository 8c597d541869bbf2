"""``scaleplan place`` and ``scaleplan score``: put a batch on a cluster, and judge where a batch stands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.fabric import FabricArgument, JsonOption
from planner.cli.output import print_json, print_lines, print_note, print_table, progress_line
from planner.cli.problem import (
    JobsOption,
    RoutingOption,
    SeedOption,
    StateOption,
    expected_of,
    load_problem,
    objective_of,
)
from planner.cli.report_files import MarkdownOption, PdfOption, ReportOption, write_reports

if TYPE_CHECKING:
    from planner.collectives.measured.calibrate import ComparedRow
    from planner.congestion.collisions import CollisionReport
    from planner.placement import Placement
    from planner.problem import Problem
    from planner.report import PlacementStudy, ScoreStudy
    from planner.result import Result
    from planner.score import Score
    from planner.solver import Progress

__all__ = ["DEFAULT_SOLVERS", "register", "results_table", "solve_all"]

EXIT_INFEASIBLE = 3
DEFAULT_SOLVERS = ("cp-sat", "first-fit", "slurm-tree")

SolverOption = Annotated[
    list[str] | None,
    typer.Option("--solver", help="May be given several times: the first is the answer, the others stand beside it."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(place)
    app.command()(score)


def place(
    fabric: FabricArgument,
    jobs: JobsOption,
    state: StateOption = None,
    solver: SolverOption = None,
    time_limit: Annotated[float, typer.Option("--time-limit", help="Seconds a solver may take.")] = 10.0,
    seed: SeedOption = 1,
    routing: RoutingOption = "spray",
    running: Annotated[
        Path | None, typer.Option("--running", help="Placement file of jobs of the job file that run already.")
    ] = None,
    warm_start: Annotated[
        Path | None, typer.Option("--warm-start", help="Placement file to start from; the answer is no worse.")
    ] = None,
    levels: Annotated[
        str | None, typer.Option("--levels", help="Levels of the objective, most important first, with commas.")
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option("--weight", help="LEVEL=NUMBER: one weighted sum instead of levels; may be given several times."),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", help="SIZE:SHARE: demand to come, that room should stay whole for; several times."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the placement as JSON.")] = None,
    report: ReportOption = None,
    pdf: PdfOption = None,
    markdown: MarkdownOption = None,
    as_json: JsonOption = False,
) -> int:
    """Place a batch of jobs. Exit code 3 if not every job could be placed; the reasons are told."""
    problem = load_problem(
        fabric,
        jobs,
        state,
        routing,
        running=running,
        objective=objective_of(levels, weight),
        expected=expected_of(expect),
    )
    start = None
    if warm_start is not None:
        from planner.files.placement_file import load_placement

        start = load_placement(warm_start, problem.fabric)
        start.check(problem, where=str(warm_start))
    results = solve_all(problem, solver or list(DEFAULT_SOLVERS), time_limit_s=time_limit, seed=seed, warm_start=start)
    answer = results[0]
    if output is not None:
        from planner.files.placement_file import placement_as_dict
        from planner.files.writing import json_text, write_text

        write_text(output, json_text(placement_as_dict(problem.fabric, answer.placement)))

    def study() -> PlacementStudy:
        from planner.report import PlacementStudy, Provenance

        inputs: list[str | Path] = [fabric, jobs, *filter(None, (state, running, warm_start))]
        title = f"Placement on {problem.fabric.name}"
        return PlacementStudy(title, problem, tuple(results), Provenance.of(inputs))

    write_reports(study, report, pdf, markdown)
    if as_json:
        from planner.files.result_json import result_as_dict

        print_json({"schema": "scaleplan/place/1", "results": [result_as_dict(problem, r) for r in results]})
    else:
        results_table(problem, results)
        print_lines(f"not placed: {refusal.job_id}: {refusal.reason}" for refusal in answer.refusals)
    return EXIT_INFEASIBLE if answer.refusals else 0


def score(
    fabric: FabricArgument,
    jobs: JobsOption,
    placement: Annotated[Path, typer.Option("--placement", help="The placement file, as `place -o` writes it.")],
    state: StateOption = None,
    routing: RoutingOption = "spray",
    seed: SeedOption = 1,
    draws: Annotated[
        int, typer.Option("--draws", min=0, max=10_000, help="Draws of ECMP's hashes for the report; 0: none.")
    ] = 50,
    log: Annotated[
        list[Path] | None, typer.Option("--log", help="An nccl-tests log to set beside the model in the report.")
    ] = None,
    report: ReportOption = None,
    pdf: PdfOption = None,
    markdown: MarkdownOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a placement: rates, slow-downs, and the links that are fought over."""
    from planner.evaluate import evaluate
    from planner.files.placement_file import load_placement
    from planner.files.result_json import score_as_dict

    problem = load_problem(fabric, jobs, state, routing)
    placed = load_placement(placement, problem.fabric)
    judged = evaluate(problem, placed, seed=seed)
    told = score_as_dict(problem, placed, judged)

    def study() -> ScoreStudy:
        inputs: list[str | Path] = [fabric, jobs, placement, *([state] if state else []), *(log or [])]
        return _score_study(problem, placed, judged, inputs, fabric=fabric, draws=draws, logs=log or [], seed=seed)

    write_reports(study, report, pdf, markdown)
    if as_json:
        print_json({"schema": "scaleplan/score/1", **told})
        return
    print_table(["component", "value"], [[name, value] for name, value in told["components"].items()])
    print_table(
        ["job", "accelerators", "alone s", "expected s", "worst s", "slow-down", "held back by"],
        [
            [
                row["id"],
                row["accelerators"],
                row["time_alone_s"],
                row["time_expected_s"],
                row["time_worst_s"],
                row["slowdown"],
                row["bottleneck"] or "–",
            ]
            for row in told["jobs"]
        ],
        title="contention views: alone (isolated), expected, worst",
    )
    _links_table(told["hottest_links"])


def _score_study(
    problem: Problem,
    placement: Placement,
    score: Score,
    inputs: list[str | Path],
    *,
    fabric: str,
    draws: int,
    logs: list[Path],
    seed: int,
) -> ScoreStudy:
    """Return what the report of a score tells, draws of ECMP and measured collectives with it."""
    from planner.evaluate import flows_of
    from planner.report import Judged, Provenance, ScoreStudy

    found: CollisionReport | None = None
    rows: tuple[ComparedRow, ...] = ()
    source = ""
    if draws and len(placement):
        from planner.congestion.collisions import collisions

        progress_line(f"hashing the flows {draws} times")
        found = collisions(problem.live_fabric, flows_of(problem, placement), num_samples=draws, seed=seed)
        progress_line("")
    if logs:
        from planner.collectives.efficiency import default_efficiency
        from planner.collectives.measured.calibrate import compare, read_logs
        from planner.collectives.measured.stored import stored_efficiency

        used = stored_efficiency(fabric, problem.fabric) or default_efficiency(problem.fabric)
        tests, _ = read_logs(problem.fabric, logs)
        rows, source = compare(problem.fabric, tests, used), used.source
    title = f"Congestion on {problem.fabric.name}"
    judged = Judged("this placement", placement, score)
    return ScoreStudy(title, problem, judged, Provenance.of(inputs), seed, found, rows, source)


def _links_table(links: list[dict[str, Any]]) -> None:
    print_table(
        ["link", "demand over capacity", "jobs"],
        [[row["link"], row["demand_frac"], ", ".join(row["jobs"][:8])] for row in links],
        title="busiest links",
    )


def solve_all(
    problem: Problem, solvers: list[str], *, time_limit_s: float, seed: int, warm_start: Placement | None = None
) -> list[Result]:
    """Run solvers one after the other on one problem, with progress on standard error.

    The first may start from a warm start. An interrupt ends the solver at work, which answers with its best so far; no
    further solver is run.

    Raises
    ------
    InputError
        If a solver is not installed, or the time limit is not positive.
    """
    from planner.solver import get_solver
    from topologies.errors import InputError

    if not 0 < time_limit_s < float("inf"):
        raise InputError(what="a time limit is above 0 seconds", where="--time-limit", found=time_limit_s)
    chosen = [get_solver(name) for name in dict.fromkeys(solvers)]
    results: list[Result] = []
    interrupted = _Interrupted()
    for solver in chosen:

        def show(progress: Progress, name: str = solver.name) -> None:
            gap = abs(progress.bound - progress.best) / abs(progress.bound) if progress.bound else 0.0
            if progress.note:
                progress_line("")
                print_note(progress.note)
            progress_line(f"{name}: {progress.phase}, {progress.elapsed_s:.1f} s, gap {gap:.2%}")

        start = None if results else warm_start
        with interrupted:
            try:
                found = solver.solve(problem, time_limit_s=time_limit_s, seed=seed, warm_start=start, on_progress=show)
            except KeyboardInterrupt:
                if not results:
                    raise
                break
        results.append(found)
        progress_line("")
        if interrupted.is_set:
            print_note(f"interrupted: the best that {solver.name} had found")
            break
    return results


class _Interrupted:
    """Tells whether an interrupt came while a solver was at work, which may have caught it."""

    def __init__(self) -> None:
        self.is_set = False
        self._before: Any = None

    def __enter__(self) -> None:
        import signal
        import threading

        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *_: object) -> None:
        import signal

        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _note(self, _number: int, _frame: object) -> None:
        self.is_set = True
        raise KeyboardInterrupt


def results_table(problem: Problem, results: list[Result], *, title: str = "") -> None:
    """Print solvers side by side."""
    from math import isfinite

    asked = sum(job.accelerators for job in problem.jobs)
    free = int(problem.state.free.sum())
    bound = min((r.bound.get("placed_weight", float("inf")) for r in results), default=float("inf"))
    weights = problem.objective.weights

    def row(result: Result) -> list[object]:
        score: Score = result.score
        gap = (bound - score["placed_weight"]) / bound if bound and isfinite(bound) else None
        if weights is not None:
            gap = result.gap
        return [
            result.solver,
            int(score["placed_accelerators"]),
            int(score["placed_jobs"]),
            int(score["cross_leaf_jobs"]),
            f"{score['worst_link_load_frac']:.0%}",
            f"{score['worst_slowdown']:.2f}x",
            float(score["excess_slowdown"]),
            *([score.total] if weights is not None else []),
            "–" if gap is None else f"{gap:.2%}",
            round(result.run_time_s, 2),
        ]

    told = title or (
        f"{problem.fabric.name}: {len(problem.jobs):,} jobs ask for {asked:,} accelerators, {free:,} are free; "
        f"routing {problem.routing}"
    )
    columns = [
        "solver",
        "placed GPUs",
        "jobs",
        "cross-leaf jobs",
        "worst link load",
        "slowest job",
        "excess",
        *(["weighted sum"] if weights is not None else []),
        "gap",
        "s",
    ]
    print_table(columns, [row(result) for result in results], title=told)
    sys.stdout.flush()
