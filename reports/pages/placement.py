"""The page of a placement: what was placed, what is fought over, and how the baselines do beside it."""

from __future__ import annotations

import numpy as np

from planner.report import PlacementStudy
from planner.result import Result
from reports.figures.comparison import slowdown_figure
from reports.markdown import render_markdown
from reports.page import Block, Page, Table, Tile, render_page
from reports.pages.busiest import busiest_links
from reports.pages.congestion import explorer_block, jobs_table, tiers_block
from reports.pages.placement_map import map_blocks

__all__ = ["PlacementPage"]

_MOST_REFUSALS = 200
_UNDISTURBED = 1.005
"""A slow-down below this is told as none: the page shows two digits."""


class PlacementPage:
    """Renders a `PlacementStudy`."""

    def render(self, study: PlacementStudy) -> str:
        """Return the page as HTML."""
        return render_page(self.page(study))

    def render_markdown(self, study: PlacementStudy) -> str:
        """Return the page's words and tables as Markdown."""
        return render_markdown(self.page(study))

    def page(self, study: PlacementStudy) -> Page:
        """Return what stands on the page."""
        answer = study.results[0]
        blocks = [
            Block("decision", "Side by side", _BESIDE, table=_comparison(study), models=("congestion",)),
            explorer_block(study.problem, study.results),
            *map_blocks(study, answer),
            tiers_block(study.problem, answer),
            Block(
                "slowdown",
                "Slow-down of jobs",
                "Communication time beside the other jobs over the time alone, in the worst view; 1× is undisturbed. "
                "The table tells all three views.",
                slowdown_figure(study.results),
                "Line chart: slow-down of each job by solver, the slowest job first.",
                jobs_table(study.problem, answer),
                short="Slow-down",
                models=("congestion",),
            ),
            Block("links", "Busiest links", _LINKS, table=busiest_links(study.problem, answer), models=("congestion",)),
        ]
        if answer.refusals:
            rows = [[r.job_id, r.reason, r.proven] for r in answer.refusals[:_MOST_REFUSALS]]
            caption = f"{len(answer.refusals):,} jobs" + (
                f", the first {_MOST_REFUSALS}" if len(answer.refusals) > _MOST_REFUSALS else ""
            )
            table = Table(["job", "reason", "proven"], rows, caption)
            blocks.append(
                Block("refused", "Not placed, and why", _REFUSED, table=table, short="Not placed"),
            )
        blocks.append(Block("sure", "How sure this is", notes=_sure(study, answer), short="How sure"))
        assumed = [*study.notes, *study.problem.fabric.assumptions]
        if assumed:
            lead = "Not in the sources; judge the figures by it."
            blocks.append(Block("assumed", "What was assumed", lead, notes=assumed, short="Assumed"))
        made = {
            "fabric": f"{study.problem.fabric.name}, sha256 {answer.fabric_fingerprint}",
            "routing": study.problem.routing,
            "objective": ", ".join(answer.objective.levels),
            "seed": str(answer.seed),
        }
        return Page(
            study.title,
            _in_words(study),
            blocks,
            study.provenance,
            eyebrow="Placement report",
            tiles=_tiles(study),
            made=made,
        )


_BESIDE = "The first line is the answer. Gap: how much more priority-weighted work any placement could hold at most."
_LINKS = (
    "Demand above 1 is fought over: the jobs on that link wait for each other. Links that carry the same are one row."
)
_REFUSED = "Proven: no placement worth as much holds the job. Otherwise the solver found none."


def _gap_known(result: Result) -> bool:
    return bool(np.isfinite(result.bound.get("placed_weight", float("inf"))))


def _tiles(study: PlacementStudy) -> list[Tile]:
    """Return the figures to take along."""
    answer, problem = study.results[0], study.problem
    score, asked = answer.score, sum(job.accelerators for job in problem.jobs)
    free = int(problem.state.free.sum())
    placed = int(score["placed_accelerators"])
    gap = "proven best" if answer.gap <= 1e-9 else "more could be placed at most"
    slow = score["worst_slowdown"]
    return [
        Tile("Accelerators placed", f"{placed:,}", f"of {asked:,} asked for, {free:,} free"),
        Tile("Jobs placed", f"{int(score['placed_jobs']):,}", f"of {len(problem.jobs):,}"),
        Tile(
            "Gap", f"{answer.gap:.2%}" if _gap_known(answer) else "–", gap if _gap_known(answer) else "no bound known"
        ),
        Tile("Slowest job", f"{slow:.2f}×", "nobody waits" if slow < _UNDISTURBED else "its network time over alone"),
        Tile(
            "Jobs over leaf groups",
            f"{int(score['cross_leaf_jobs']):,}",
            f"worst link at {score['worst_link_load_frac']:.0%}",
        ),
    ]


def _in_words(study: PlacementStudy) -> list[str]:
    """Return the answer in two paragraphs."""
    problem, answer = study.problem, study.results[0]
    score = answer.score
    asked = sum(job.accelerators for job in problem.jobs)
    proof = (
        "How much more could be placed is not known"
        if not _gap_known(answer)
        else "No placement holds more"
        if answer.gap <= 1e-9
        else f"At most {answer.gap:.2%} more priority-weighted work could be placed"
    )
    first = (
        f"{answer.solver} places {int(score['placed_jobs']):,} of {len(problem.jobs):,} jobs: "
        f"{int(score['placed_accelerators']):,} of the {asked:,} accelerators asked for, on "
        f"{int(problem.state.free.sum()):,} free. {proof}."
    )
    slow = score["worst_slowdown"]
    waits = (
        "No job waits for another on the network"
        if slow < _UNDISTURBED
        else f"The slowest job waits {slow:.2f}× as long for the network as it would alone"
    )
    second = f"{waits}; {int(score['cross_leaf_jobs']):,} jobs reach over more than one leaf group."
    others = [
        f"{r.solver} {r.score['worst_slowdown']:.2f}× with {int(r.score['placed_accelerators']):,} accelerators in "
        f"{int(r.score['placed_jobs']):,} jobs placed"
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
        "moved from the answer",
    ]
    bound = min((r.bound.get("placed_weight", float("inf")) for r in study.results), default=float("inf"))
    answer = study.results[0]
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
                "–" if r is answer else f"{_moved(study, answer, r):,} jobs",
            ]
        )
    routing = f"Routing: {study.problem.routing}; seed {study.results[0].seed}"
    return Table(columns, rows, routing, first_is_answer=True)


def _moved(study: PlacementStudy, answer: Result, other: Result) -> int:
    """Return how many jobs sit on other accelerators than in the answer, or are placed in one of both only."""
    moved = 0
    for job in study.problem.jobs:
        here, there = answer.placement.ranks.get(job.id), other.placement.ranks.get(job.id)
        if here is None or there is None:
            moved += here is not there
        else:
            moved += not np.array_equal(np.sort(here), np.sort(there))
    return moved


def _sure(study: PlacementStudy, answer: Result) -> list[str]:
    """Return what the answer hangs on."""
    report = answer.score.congestion
    expected, worst = report.slowdown("expected"), report.slowdown("worst")
    told = [
        f"What is placed: {'a proven bound' if _gap_known(answer) else 'no bound is known'}; the answer is "
        f"{answer.status}. Every solver is judged by one and the same function, never by itself."
    ]
    if len(worst):
        told.append(
            f"Slow-down: the slowest job is {expected.max():.2f}× if others are met only as often as they communicate, "
            f"{worst.max():.2f}× if all communicate at once. The truth lies between."
        )
    told.append(
        "Congestion is max-min fair sharing of links; ‘scaleplan validate’ tells its error beside a fluid simulator "
        "and a packet simulator (suite contention), and that of collective times (suites nccl, sweeps)."
    )
    return told
