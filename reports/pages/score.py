"""The page of a score: who waits for whom on the network, which links are fought over, and what ECMP adds."""

from __future__ import annotations

import numpy as np

from planner.report import ScoreStudy
from reports.figures.congestion import busiest_uplink_figure, ecmp_figure, slowdown_range_figure
from reports.markdown import render_markdown
from reports.page import Block, Page, Panel, Table, Tile, render_page
from reports.pages.busiest import busiest_links
from reports.pages.collectives import collectives_blocks, measured_blocks
from reports.pages.congestion import explorer_block, jobs_table, tiers_block

__all__ = ["ScorePage"]

_MOST_JOBS = 40
_SLOWED = 1.05
"""A job above this is told as slowed: the model's own error is about so large."""


class ScorePage:
    """Renders a `ScoreStudy`."""

    def render(self, study: ScoreStudy) -> str:
        """Return the page as HTML."""
        return render_page(self.page(study))

    def render_markdown(self, study: ScoreStudy) -> str:
        """Return the page's words and tables as Markdown."""
        return render_markdown(self.page(study))

    def page(self, study: ScoreStudy) -> Page:
        """Return what stands on the page."""
        problem, judged = study.problem, study.judged
        blocks = [
            *_slowdown(study),
            tiers_block(problem, judged),
            _links(study),
            explorer_block(problem, [judged]),
            *_ecmp(study),
            *measured_blocks(study.measured, study.efficiency),
            *collectives_blocks(problem.fabric),
            _sure(study),
        ]
        made = {
            "fabric": f"{problem.fabric.name}, sha256 {problem.fabric.fingerprint}",
            "routing": problem.routing,
            "seed": str(study.seed),
        }
        words, tiles = _in_words(study), _tiles(study)
        return Page(study.title, words, blocks, study.provenance, eyebrow="Congestion report", tiles=tiles, made=made)


_LINKS = (
    "Links that carry the same, taken together; those fought over first. Demand is what the jobs would send, each as "
    "fast as alone: above 1 they wait for each other there."
)


def _links(study: ScoreStudy) -> Block:
    table = busiest_links(study.problem, study.judged)
    title = "Worst links and their jobs"
    return Block("links", title, _LINKS, table=table, short="Worst links", models=("congestion",))


def _placed(study: ScoreStudy) -> list[str]:
    return [job.id for job in study.problem.jobs if job.id in study.judged.placement]


def _in_words(study: ScoreStudy) -> list[str]:
    names, report = _placed(study), study.judged.score.congestion
    if not names:
        return ["No job is placed, so nothing is sent."]
    worst, expected = report.slowdown(), report.slowdown("expected")
    slowed = int(np.count_nonzero(worst > _SLOWED))
    slowest = int(np.argmax(worst))
    first = (
        f"{len(names):,} jobs share the network. If all communicate at once, {slowed:,} of them take more than 5 % "
        "longer than alone"
        if slowed
        else f"{len(names):,} jobs share the network and none slows another by more than 5 %, even if all communicate "
        "at once"
    )
    if slowed:
        first += f"; the slowest, {names[slowest]}, {worst[slowest]:.2f}× ({expected[slowest]:.2f}× to be expected)"
    link = int(report.worst.bottleneck_link[slowest])
    told = [first + "."]
    if slowed and link >= 0:
        told.append(
            f"It is held back by {study.problem.fabric.link_name(link)}, which {len(report.jobs_on(link)):,} jobs use, "
            f"at {report.link_demand_frac[link]:.0%} of what it carries."
        )
    if study.collisions is not None:
        quantiles = study.collisions.quantiles()
        draws = len(study.collisions.busiest_to_mean)
        told.append(
            f"Hashed by ECMP {draws:,} times, the worst job takes {quantiles[0].max():.2f}× as long as with even "
            f"spraying in half of the draws, {quantiles[2].max():.2f}× in one of a hundred."
        )
    return told


def _tiles(study: ScoreStudy) -> list[Tile]:
    score, report = study.judged.score, study.judged.score.congestion
    worst = report.slowdown()
    fought = int(np.count_nonzero(report.link_demand_frac > 1 + 1e-4))
    tiles = [
        Tile("Jobs", f"{len(worst):,}", f"{int(score['cross_leaf_jobs']):,} over more than one leaf group"),
        Tile("Slowest job", f"{worst.max(initial=1.0):.2f}×", "its network time over alone"),
        Tile("Slowed by 5 % or more", f"{int(np.count_nonzero(worst > _SLOWED)):,}", "all communicating at once"),
        Tile("Worst link", f"{score['worst_link_load_frac']:.0%}", f"{fought:,} links are fought over"),
    ]
    if study.collisions is not None:
        ratio = float(np.median(study.collisions.busiest_to_mean))
        tiles.append(Tile("ECMP's busiest uplink", f"{ratio:.2f}×", "the mean of its leaf, median of draws"))
    return tiles


def _slowdown(study: ScoreStudy) -> list[Block]:
    names, report = _placed(study), study.judged.score.congestion
    if not names:
        return []
    worst, expected = report.slowdown(), report.slowdown("expected")
    order = np.argsort(-worst, kind="stable")[:_MOST_JOBS]
    more = f" The {_MOST_JOBS} slowest of {len(names):,}; all are in the table." if len(names) > _MOST_JOBS else ""
    return [
        Block(
            "slowdown",
            "Slow-down by job",
            "Network time beside the others over the time alone; 1× is undisturbed. The truth lies between the "
            f"marks.{more}",
            slowdown_range_figure([names[j] for j in order], expected[order], worst[order]),
            "Range chart: slow-down of each job, expected and when all communicate at once, the slowest on top.",
            jobs_table(study.problem, study.judged),
            short="Slow-down",
            models=("congestion",),
        )
    ]


def _ecmp(study: ScoreStudy) -> list[Block]:
    found, names = study.collisions, _placed(study)
    if found is None or not names:
        return []
    quantiles = found.quantiles()
    alone = np.quantile(found.alone_s / np.maximum(found.sprayed_s, 1e-30), 0.5, axis=0)
    alone = np.where(found.sprayed_s > 0, alone, 1.0)
    order = np.argsort(-quantiles[2], kind="stable")
    shown = order[:_MOST_JOBS]
    rows = [
        [names[j], *(f"{q:.2f}×" for q in quantiles[:, j]), f"{alone[j]:.2f}×", float(found.sprayed_s[j])]
        for j in order.tolist()
    ]
    draws = len(found.busiest_to_mean)
    panels = [
        Panel(
            "Time by job, over that with even spraying",
            ecmp_figure([names[j] for j in shown], quantiles[:, shown]),
            "Range chart: median, p90 and p99 of each job's time over draws of ECMP's hashes.",
        ),
        Panel(
            "Busiest uplink of a leaf over the mean",
            busiest_uplink_figure(found.busiest_to_mean),
            "Histogram: busiest uplink over the mean of its leaf, over draws of ECMP's hashes.",
        ),
    ]
    columns = ["job", "median", "p90", "p99", "alone, median", "sprayed s"]
    return [
        Block(
            "ecmp",
            "What ECMP's hashing adds",
            f"The same jobs, their flows hashed onto paths {draws:,} times. Flows that meet on an uplink share it; "
            "even spraying is the measure. Alone: a job collides with itself, too.",
            table=Table(columns, rows, f"{draws:,} draws, seed {study.seed}"),
            panels=panels,
            short="ECMP",
            models=("congestion",),
        )
    ]


def _sure(study: ScoreStudy) -> Block:
    notes = [
        f"Routing: {study.problem.routing}. Congestion is max-min fair sharing of links between jobs, all flows of a "
        "job at one rate.",
        "Expected: every job computes and communicates in turns and meets the others as often as they communicate. "
        "Worst: all communicate at once.",
        *study.problem.fabric.assumptions,
    ]
    return Block("sure", "How sure this is, and what was assumed", notes=notes, short="How sure")
