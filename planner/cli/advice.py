"""``scaleplan why``, ``slots`` and ``defrag``: why a job does not fit, how many more would, and what to move."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.fabric import FabricArgument, JsonOption
from planner.cli.output import print_json, print_lines, print_table
from planner.cli.problem import JobsOption, RoutingOption, SeedOption, StateOption, load_problem

if TYPE_CHECKING:
    from planner.advice import Moves, Why
    from planner.job import Job
    from planner.placement import Placement
    from planner.problem import Problem

__all__ = ["register"]

EXIT_INFEASIBLE = 3
_COMPARED = (
    "placed_accelerators",
    "worst_slowdown",
    "excess_slowdown",
    "opened_leaf_groups",
    "stranded_accelerators",
    "cross_leaf_jobs",
    "worst_link_load_frac",
)
_SHAPE = re.compile(r"([1-9][0-9]{0,8})(?:x([1-9][0-9]{0,5}))?(/leaf|/pod|/domain)?")

PlacementOption = Annotated[
    Path | None,
    typer.Option("--placement", help="Where the jobs of the job file run, as `place -o` writes it."),
]
JobsIfAnyOption = Annotated[Path | None, typer.Option("--jobs", help="The job file of what runs.")]
TimeOption = Annotated[float, typer.Option("--time-limit", help="Seconds it may take.")]
ShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        help="ACCELERATORS, or HOSTSxACCELERATORS on each; then /leaf, /pod or /domain if in one. Several times.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(why)
    app.command()(slots)
    app.command()(defrag)


def why(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")],
    fabric: FabricArgument,
    jobs: JobsOption,
    state: StateOption = None,
    placement: PlacementOption = None,
    routing: RoutingOption = "spray",
    time_limit: TimeOption = 10.0,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> int:
    """Say why a job does not fit, and what would help. Without --placement the batch is placed first, by cp-sat.

    Exit code 3 if the job does not fit.
    """
    from planner.advice import get_advisor

    problem = load_problem(fabric, jobs, state, routing)
    _job_of(problem, job)
    now = _placement(problem, placement, time_limit_s=time_limit, seed=seed)
    if job in now:
        return _tell_placed(problem, now, job, as_json=as_json)
    answer: Why = get_advisor("why")(problem, now, job)
    if as_json:
        print_json({"schema": "scaleplan/why/1", **_why_as_dict(answer)})
    elif answer.fits:
        print_lines([f"{job} fits now"])
    else:
        print_lines([f"{job} needs {answer.asked}"])
        print_lines(f"in the way: {obstacle.text}" for obstacle in answer.obstacles)
        print_lines(f"would help: {remedy.text}" for remedy in answer.remedies)
        if not answer.obstacles:
            print_lines(["in the way: more than three things at once"])
        if not answer.remedies:
            print_lines(["would help: nothing that was tried"])
    return 0 if answer.fits else EXIT_INFEASIBLE


def _tell_placed(problem: Problem, now: Placement, job_id: str, *, as_json: bool) -> int:
    import numpy as np

    fabric = problem.fabric
    hosts = [fabric.host_names[h] for h in np.unique(fabric.accelerator_host[now.ranks[job_id]]).tolist()]
    if as_json:
        print_json({"schema": "scaleplan/why/1", "job": job_id, "placed": True, "fits": True, "hosts": hosts})
    else:
        shown = ", ".join(hosts[:8]) + (f" and {len(hosts) - 8} more" if len(hosts) > 8 else "")
        print_lines([f"{job_id} is placed, on {shown}"])
    return 0


def _why_as_dict(answer: Why) -> dict[str, Any]:
    return {
        "job": answer.job_id,
        "placed": False,
        "fits": answer.fits,
        "asked": answer.asked,
        "obstacles": [{"families": list(o.families), "text": o.text} for o in answer.obstacles],
        "remedies": [
            {
                "text": r.text,
                "hosts": list(r.hosts),
                "jobs": list(r.job_ids),
                "ended": list(r.ended),
                "changes": _plain(dict(r.changes)),
            }
            for r in answer.remedies
        ],
    }


def _plain(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()}


def slots(
    fabric: FabricArgument,
    shape: ShapeOption = None,
    shapes: Annotated[Path | None, typer.Option("--shapes", help="A job file: each of its jobs is a shape.")] = None,
    jobs: JobsIfAnyOption = None,
    placement: PlacementOption = None,
    state: StateOption = None,
    time_limit: TimeOption = 2.0,
    as_json: JsonOption = False,
) -> None:
    """Count how many more jobs of each shape fit now, all at once; without shapes, powers of two."""
    from planner.advice import get_advisor
    from planner.files.jobs_file import load_jobs

    problem = load_problem(fabric, jobs, state, "spray")
    now = _running(problem, placement)
    wanted = [_shape(text) for text in shape or []]
    wanted += list(load_jobs(shapes)) if shapes is not None else []
    found = get_advisor("slots")(problem, now, wanted or _usual_shapes(problem), time_limit_s=time_limit)
    if as_json:
        rows = [{"shape": s.shape, "fit": s.found, "at_most": s.bound} for s in found]
        print_json({"schema": "scaleplan/slots/1", "slots": rows})
        return
    print_table(
        ["shape", "fit at once", "at most"],
        [[s.shape, s.found, s.bound] for s in found],
        title=f"{problem.fabric.name}: room beside {len(now):,} jobs",
    )


def _usual_shapes(problem: Problem) -> list[Job]:
    """Return powers of two: of accelerators on one host, then of whole hosts in one leaf group, pod and anywhere."""
    fabric = problem.fabric
    each = int(fabric.host_num_accelerators.max())
    texts = []
    size = 1
    while size < each:
        texts.append(f"1x{size}")
        size *= 2
    hosts = 1
    while hosts <= fabric.num_hosts:
        texts.append(f"{hosts}x{each}")
        if hosts > 1:
            texts.append(f"{hosts}x{each}/leaf")
        hosts *= 2
    return [_shape(text) for text in texts]


def _shape(text: str) -> Job:
    """Return the job that a text such as 64, 8x8 or 8x8/leaf stands for.

    Raises
    ------
    InputError
        If it is none of these.
    """
    from planner.job import Job
    from topologies.errors import InputError

    match = _SHAPE.fullmatch(text)
    if match is None:
        raise InputError(
            what="no such shape",
            where="--shape",
            found=repr(text),
            allowed="as in 64, 8x8, 8x8/leaf, 8x8/pod, 8/domain",
        )
    first, each, where = match.groups()
    return Job(
        text,
        int(first) * int(each or 1),
        accelerators_per_host=int(each) if each else None,
        max_leaf_groups=1 if where == "/leaf" else None,
        max_pods=1 if where == "/pod" else None,
        same_domain=where == "/domain",
    )


def defrag(
    fabric: FabricArgument,
    jobs: JobsOption,
    placement: Annotated[Path, typer.Option("--placement", help="Where jobs run, as `place -o` writes it.")],
    state: StateOption = None,
    job: Annotated[str, typer.Option("--for", metavar="JOB", help="Make room for this job of the job file.")] = "",
    shape: Annotated[str, typer.Option("--shape", help="Make room for this shape, as in 8x8/leaf.")] = "",
    copies: Annotated[int, typer.Option("--copies", min=1, max=10_000, help="So many of the shape.")] = 1,
    cut: Annotated[
        float | None, typer.Option("--cut", help="Or cut the total slow-down by this part, above 0 to 1.")
    ] = None,
    all_movable: Annotated[bool, typer.Option("--all-movable", help="As if every job might move.")] = False,
    routing: RoutingOption = "spray",
    time_limit: TimeOption = 10.0,
    seed: SeedOption = 1,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the placement after the moves.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write an HTML report: before and after.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Plan the fewest moves that make room for a job or shape, or that calm the network. Exit code 3 if none do."""
    from planner.advice import get_advisor
    from topologies.errors import InputError

    if sum((bool(job), bool(shape), cut is not None)) != 1:
        raise InputError(
            what="say what to move for", where="--for, --shape, --cut", fix="give one of the three, and only one"
        )
    if cut is not None and not 0 < cut <= 1:
        raise InputError(what="the part to cut is out of range", where="--cut", found=cut, allowed="above 0 to 1")
    if not 0 < time_limit < float("inf"):
        raise InputError(what="a time limit is above 0 seconds", where="--time-limit", found=time_limit)
    problem = load_problem(fabric, jobs, state, routing)
    if all_movable:
        problem = replace(problem, jobs=tuple(replace(there, movable=True) for there in problem.jobs))
    now = _running(problem, placement)
    if cut is not None:
        plan: Moves = get_advisor("calm")(problem, now, cut_frac=cut, time_limit_s=time_limit, seed=seed)
        asked = problem
    else:
        wanted = _shape(shape) if shape else _job_of(problem, job)
        if wanted.id in now:
            raise InputError(what="the job runs already", where="--for", found=repr(wanted.id))
        rest = replace(problem, jobs=tuple(there for there in problem.jobs if there.id != wanted.id))
        plan = get_advisor("defrag")(rest, now, wanted, copies=copies, time_limit_s=time_limit, seed=seed)
        asked = replace(rest, jobs=(*rest.jobs, *_copies(wanted, copies)))
    if output is not None:
        from planner.files.placement_file import placement_as_dict
        from planner.files.writing import json_text, write_text

        write_text(output, json_text(placement_as_dict(problem.fabric, plan.placement)))
    if report is not None:
        _write_report(asked, now, plan, report, [fabric, jobs, *([state] if state else []), placement], seed)
    if as_json:
        print_json({"schema": "scaleplan/moves/1", **_moves_as_dict(problem, plan)})
    else:
        _tell_moves(problem, plan)


def _copies(job: Job, copies: int) -> list[Job]:
    return [job] if copies == 1 else [replace(job, id=f"{job.id}#{i}") for i in range(copies)]


def _tell_moves(problem: Problem, plan: Moves) -> None:
    gap = f"proven least of any: {plan.bound:g}" if plan.bound < plan.cost else "proven least"
    print_table(
        ["step", "job", "what", "accelerators", "from", "to"],
        [
            [i, step.job_id, step.action, max(len(step.source), len(step.target)), *_ends(problem, step)]
            for i, step in enumerate(plan.steps, start=1)
        ],
        title=f"{len(plan.steps)} step{'s' * (len(plan.steps) != 1)}, cost of the moves {plan.cost:g} ({gap})",
    )
    print_table(
        ["", "before", "after"],
        [[name.replace("_", " "), plan.before[name], plan.after[name]] for name in _COMPARED],
    )


def _ends(problem: Problem, step: Any) -> list[str]:
    return [_hosts_text(problem, ranks) for ranks in (step.source, step.target)]


def _hosts_text(problem: Problem, ranks: Any, most: int = 3) -> str:
    import numpy as np

    fabric = problem.fabric
    hosts = [fabric.host_names[h] for h in np.unique(fabric.accelerator_host[ranks]).tolist()]
    return ", ".join(hosts[:most]) + (f" and {len(hosts) - most} more" if len(hosts) > most else "") or "–"


def _moves_as_dict(problem: Problem, plan: Moves) -> dict[str, Any]:
    from planner.files.placement_file import placement_as_dict
    from planner.placement import Placement

    def side(job_id: str, ranks: Any) -> Any:
        return placement_as_dict(problem.fabric, Placement({job_id: ranks}))["jobs"][job_id] if len(ranks) else []

    return {
        "steps": [
            {
                "job": step.job_id,
                "action": step.action,
                "from": side(step.job_id, step.source),
                "to": side(step.job_id, step.target),
            }
            for step in plan.steps
        ],
        "cost": plan.cost,
        "bound": plan.bound,
        "before": plan.before,
        "after": plan.after,
        "placement": placement_as_dict(problem.fabric, plan.placement),
    }


def _write_report(asked: Problem, now: Placement, plan: Moves, path: Path, inputs: list[str | Path], seed: int) -> None:
    """Write before and after as two placements side by side, the latter as the answer."""
    from planner.cli.report import write_placement_report
    from planner.evaluate import evaluate
    from planner.result import Refusal, Result

    def result(name: str, placement: Placement) -> Result:
        score = evaluate(asked, placement, seed=seed)
        missing = [job.id for job in asked.jobs if job.id not in placement]
        return Result(
            status="feasible",
            placement=placement,
            score=score,
            objective=asked.objective,
            bound=dict.fromkeys(asked.objective.levels, float("inf")),
            refusals=tuple(Refusal(job_id, "does not run") for job_id in missing),
            run_time_s=0.0,
            seed=seed,
            solver=name,
            fabric_fingerprint=asked.fabric.fingerprint,
        )

    notes = [f"{len(plan.steps)} steps; cost of the moves {plan.cost:g}, {plan.bound:g} at least"]
    write_placement_report(
        asked,
        [result("after the moves", plan.placement), result("before", now)],
        path,
        title=f"Moves on {asked.fabric.name}",
        inputs=inputs,
        notes=notes,
    )


def _job_of(problem: Problem, job_id: str) -> Job:
    from difflib import get_close_matches

    from topologies.errors import InputError

    if job_id not in problem.job_idx:
        near = get_close_matches(job_id, problem.job_idx, 1)
        raise InputError(
            what="no such job in the job file",
            where="JOB",
            found=repr(job_id),
            allowed=f"one of its {len(problem.jobs)} jobs",
            fix=f"did you mean {near[0]!r}?" if near else "",
        )
    return problem.jobs[problem.job_idx[job_id]]


def _running(problem: Problem, path: Path | None) -> Placement:
    """Return the placement in a file, or none; refuse one that does not fit the problem."""
    from planner.files.placement_file import load_placement
    from planner.placement import Placement

    if path is None:
        return Placement()
    now = load_placement(path, problem.fabric)
    now.check(problem, where=str(path))
    return now


def _placement(problem: Problem, path: Path | None, *, time_limit_s: float, seed: int) -> Placement:
    """Return the placement in a file; without one, what cp-sat finds."""
    if path is not None:
        return _running(problem, path)
    from planner.cli.place import solve_all

    return solve_all(problem, ["cp-sat"], time_limit_s=time_limit_s, seed=seed)[0].placement
