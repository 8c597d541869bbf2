"""The page of a placement: what was placed, what is fought over, and how the baselines do beside it."""

from __future__ import annotations

import numpy as np

from planner.report import PlacementStudy
from planner.result import Result
from reports.figures.comparison import slowdown_figure
from reports.figures.placement_map import placement_map
from reports.figures.topology import topology_figure
from reports.page import Block, Table, render_page

__all__ = ["PlacementPage"]

_MOST_LINKS = 25
_MOST_REFUSALS = 200


class PlacementPage:
    """Renders a `PlacementStudy`."""

    def render(self, study: PlacementStudy) -> str:
        """Return the page."""
        answer = study.results[0]
        blocks = [
            Block("decision", "Side by side", _BESIDE, table=_comparison(study)),
            self._topology(study, answer),
            self._map(study, answer),
            Block(
                "slowdown",
                "Slow-down of jobs",
                "Communication time beside the other jobs over the time alone; 1× is undisturbed.",
                slowdown_figure(study.results),
                "Line chart: slow-down of each job by solver, the slowest job first.",
                _jobs(study, answer),
            ),
            Block("links", "Busiest links", _LINKS, table=_links(study, answer)),
        ]
        if answer.refusals:
            rows = [[r.job_id, r.reason] for r in answer.refusals[:_MOST_REFUSALS]]
            blocks.append(Block("refused", "Not placed, and why", table=Table(["job", "reason"], rows)))
        assumed = [*study.notes, *study.problem.fabric.assumptions]
        if assumed:
            blocks.append(
                Block("assumed", "What was assumed", "Not in the sources; judge the figures by it.", notes=assumed)
            )
        return render_page(study.title, _in_words(study), blocks, study.provenance)

    def _topology(self, study: PlacementStudy, answer: Result) -> Block:
        fabric = study.problem.fabric
        return Block(
            "fabric",
            "The fabric, and how hot its links are",
            f"{fabric.name}: leaf groups below, switches above. A link's heat is what the jobs would send, each as "
            "fast as alone, over what it carries.",
            topology_figure(fabric, answer.score.congestion),
            f"Drawing of {fabric.name} by tiers; links coloured by demand.",
        )

    def _map(self, study: PlacementStudy, answer: Result) -> Block:
        placed = [
            [i + 1, job.id, job.accelerators, *_spread(study, answer, job.id)]
            for i, job in enumerate(study.problem.jobs)
            if job.id in answer.placement
        ]
        return Block(
            "map",
            "Who runs where",
            "One cell a host. Colour and number tell the job with most accelerators on it; hover for all of them.",
            placement_map(study.problem, answer.placement),
            "Grid of racks and hosts; each cell shows the number of the job on that host.",
            Table(["number", "job", "accelerators", "hosts", "leaf groups", "pods"], placed, "Placed jobs"),
        )


_BESIDE = "The first line is the answer. Gap: how much more priority-weighted work any placement could hold at most."
_LINKS = "Demand above 1 is fought over: the jobs on that link wait for each other."


def _in_words(study: PlacementStudy) -> list[str]:
    """Return the answer in two paragraphs."""
    problem, answer = study.problem, study.results[0]
    score = answer.score
    asked = sum(job.accelerators for job in problem.jobs)
    bound = answer.bound.get("placed_weight", float("inf"))
    proof = (
        "No placement holds more"
        if answer.gap <= 1e-9
        else f"At most {answer.gap:.2%} more priority-weighted work could be placed"
        if np.isfinite(bound)
        else "How much more could be placed is not known"
    )
    first = (
        f"{answer.solver} places {int(score['placed_jobs']):,} of {len(problem.jobs):,} jobs: "
        f"{int(score['placed_accelerators']):,} of the {asked:,} accelerators asked for, on "
        f"{int(problem.state.free.sum()):,} free. {proof}."
    )
    second = (
        f"The slowest job waits {score['worst_slowdown']:.2f}× as long for the network as it would alone; "
        f"{int(score['cross_leaf_jobs']):,} jobs reach over more than one leaf group."
    )
    others = [
        f"{r.solver} {r.score['worst_slowdown']:.2f}× with {int(r.score['placed_accelerators']):,} accelerators placed"
        for r in study.results[1:]
    ]
    return [first, second + (f" Beside it: {'; '.join(others)}." if others else "")]


def _comparison(study: PlacementStudy) -> Table:
    columns = [
        "solver",
        "placed accelerators",
        "placed jobs",
        "jobs over leaf groups",
        "worst link demand",
        "slowest job",
        "excess slow-down",
        "gap",
        "seconds",
    ]
    bound = min((r.bound.get("placed_weight", float("inf")) for r in study.results), default=float("inf"))
    rows = []
    for r in study.results:
        gap = (bound - r.score["placed_weight"]) / bound if bound and np.isfinite(bound) else None
        rows.append(
            [
                r.solver,
                int(r.score["placed_accelerators"]),
                int(r.score["placed_jobs"]),
                int(r.score["cross_leaf_jobs"]),
                f"{r.score['worst_link_load_frac']:.0%}",
                f"{r.score['worst_slowdown']:.2f}×",
                float(r.score["excess_slowdown"]),
                "–" if gap is None else f"{gap:.2%}",
                round(r.run_time_s, 2),
            ]
        )
    return Table(columns, rows, f"Routing: {study.problem.routing}; seed {study.results[0].seed}")


def _spread(study: PlacementStudy, answer: Result, job_id: str) -> tuple[int, int, int]:
    fabric = study.problem.fabric
    hosts = np.unique(fabric.accelerator_host[answer.placement.ranks[job_id]])
    return len(hosts), len(np.unique(fabric.host_leaf_group[hosts])), len(np.unique(fabric.host_pod[hosts]))


def _jobs(study: PlacementStudy, answer: Result) -> Table:
    placed = [job for job in study.problem.jobs if job.id in answer.placement]
    report, fabric = answer.score.congestion, study.problem.fabric
    slowdown = report.slowdown()
    order = np.argsort(-slowdown, kind="stable").tolist()
    rows = [
        [
            placed[j].id,
            placed[j].accelerators,
            float(report.isolated.time_s[j]),
            float(report.expected.time_s[j]),
            float(report.worst.time_s[j]),
            float(slowdown[j]),
            fabric.link_name(int(report.worst.bottleneck_link[j])) if report.worst.bottleneck_link[j] >= 0 else "–",
        ]
        for j in order
    ]
    columns = ["job", "accelerators", "alone s", "expected s", "worst s", "slow-down", "held back by"]
    return Table(columns, rows, f"Communication a step under {answer.solver}, three contention views")


def _links(study: PlacementStudy, answer: Result) -> Table:
    placed = [job.id for job in study.problem.jobs if job.id in answer.placement]
    report, fabric = answer.score.congestion, study.problem.fabric
    rows = []
    for link in report.hottest_links(_MOST_LINKS).tolist():
        jobs = [placed[j] for j in report.jobs_on(link)]
        more = f" and {len(jobs) - 6} more" if len(jobs) > 6 else ""
        rows.append(
            [
                fabric.link_name(link),
                float(report.link_demand_frac[link]),
                float(report.link_load_frac[link]),
                len(jobs),
                ", ".join(jobs[:6]) + more,
            ]
        )
    return Table(["link", "demand over capacity", "load over capacity", "jobs", "which"], rows)
