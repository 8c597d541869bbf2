"""The page of an observed Slurm: what planning would have saved."""

from __future__ import annotations

import numpy as np

from planner.report import ObserveStudy
from planner.slurm.journal import Decision
from reports.figures.observed import saved_by_size_figure, saved_over_time_figure
from reports.markdown import render_markdown
from reports.page import Block, Page, Panel, Table, Tile, render_page

__all__ = ["ObservePage"]

_SIZES = ((1, "1"), (2, "2"), (4, "3–4"), (8, "5–8"), (16, "9–16"), (32, "17–32"), (64, "33–64"), (256, "65–256"))
_LARGER = "257 and more"
_MOST_ROWS = 200


class ObservePage:
    """Renders an `ObserveStudy`."""

    def render(self, study: ObserveStudy) -> str:
        """Return the page as HTML."""
        return render_page(self.page(study))

    def render_markdown(self, study: ObserveStudy) -> str:
        """Return the page's words and tables as Markdown."""
        return render_markdown(self.page(study))

    def page(self, study: ObserveStudy) -> Page:
        """Return what stands on the page."""
        rows = [[name, value] for name, value in study.figures.items()]
        blocks = [
            Block("decision", "In figures", table=Table(["figure", "value"], rows, f"Last {study.days:g} days")),
            *_saved(study),
            *_jobs(study),
            Block("sure", "How sure this is", notes=_SURE),
        ]
        words = _in_words(study)
        tiles = _tiles(study)
        return Page(study.title, words, blocks, study.provenance, eyebrow="Slurm, observed", tiles=tiles)


_SURE = (
    "Each job is planned on the room there was just before it started, beside those that started with it; earlier "
    "plans do not change later room. So savings of a planner in charge are not added up over time.",
    "Fewer leaf switches and fewer edges between them mean less shared network; what that is worth in time depends "
    "on the jobs' traffic, which Slurm does not know.",
)


def _totals(study: ObserveStudy) -> dict[str, int]:
    keys = ("leaves", "leaves_slurm", "uplinks", "uplinks_slurm")
    return {key: sum(int((one.figures or {}).get(key, 0)) for one in study.decisions) for key in keys}


def _fewer(planned: int, slurm: int) -> str:
    return f"{1 - planned / slurm:.0%} fewer" if slurm > planned else "no fewer"


def _better(one: Decision) -> bool:
    figures = one.figures or {}
    return int(figures.get("leaves", 0)) < int(figures.get("leaves_slurm", 0))


def _in_words(study: ObserveStudy) -> list[str]:
    count = len(study.decisions)
    if not count:
        return [f"No job of the last {study.days:g} days could be observed yet."]
    totals, better = _totals(study), sum(map(_better, study.decisions))
    return [
        f"Of {count:,} jobs that Slurm started in the last {study.days:g} days, {better:,} would have run on fewer "
        f"leaf switches or blocks: {_fewer(totals['leaves'], totals['leaves_slurm'])} in all ({totals['leaves']:,} "
        f"instead of {totals['leaves_slurm']:,}), and {_fewer(totals['uplinks'], totals['uplinks_slurm'])} ring "
        f"edges that leave a leaf ({totals['uplinks']:,} instead of {totals['uplinks_slurm']:,}).",
        "Nothing was touched: this is what would have been planned on the same nodes at the same moments.",
    ]


def _tiles(study: ObserveStudy) -> list[Tile]:
    totals, count = _totals(study), len(study.decisions)
    better = sum(map(_better, study.decisions))
    return [
        Tile("Jobs observed", f"{count:,}", f"in {study.days:g} days"),
        Tile("On fewer leaf switches", f"{better / count:.0%}" if count else "–", f"{better:,} jobs, if planned"),
        Tile("Leaf switches touched", f"{totals['leaves']:,}", f"Slurm: {totals['leaves_slurm']:,}"),
        Tile("Edges that leave a leaf", f"{totals['uplinks']:,}", f"Slurm: {totals['uplinks_slurm']:,}"),
    ]


def _size(one: Decision) -> str:
    return next((name for most, name in _SIZES if len(one.hosts) <= most), _LARGER)


def _saved(study: ObserveStudy) -> list[Block]:
    if not study.decisions:
        return []
    names = [name for _, name in _SIZES] + [_LARGER]
    groups = {name: [one for one in study.decisions if _size(one) == name] for name in names}
    sizes = [name for name in names if groups[name]]

    def mean(name: str, key: str) -> float:
        return float(np.mean([int((one.figures or {}).get(key, 0)) for one in groups[name]]))

    rows = [
        [name, len(groups[name]), *(mean(name, key) for key in ("leaves_slurm", "leaves", "uplinks_slurm", "uplinks"))]
        for name in sizes
    ]
    slurm, planned = ([mean(name, key) for name in sizes] for key in ("leaves_slurm", "leaves"))
    at_s = np.array([one.at_s for one in study.decisions], np.float64)
    edges = [
        np.array([int((one.figures or {}).get(key, 0)) for one in study.decisions], np.float64)
        for key in ("uplinks_slurm", "uplinks")
    ]
    panels = [
        Panel(
            "By size of the job",
            saved_by_size_figure(sizes, slurm, planned),
            "Bars: mean leaf switches of a job by its nodes, Slurm beside planned.",
        ),
        Panel(
            "Over time, added up",
            saved_over_time_figure(at_s, edges[0], edges[1]),
            "Step lines: ring edges that leave a leaf added up over the jobs, Slurm beside planned.",
        ),
    ]
    columns = ["nodes", "jobs", "leaf switches, Slurm", "planned", "edges that leave a leaf, Slurm", "planned"]
    return [
        Block(
            "saved",
            "Slurm's choice beside the planned one",
            "Leaf switches, or blocks, that a job touches, and edges of its ring that leave one.",
            table=Table(columns, rows, "Means a job"),
            panels=panels,
            short="Saved",
            models=("counts",),
        )
    ]


def _jobs(study: ObserveStudy) -> list[Block]:
    def saved(one: Decision) -> int:
        figures = one.figures or {}
        return int(figures.get("uplinks_slurm", 0)) - int(figures.get("uplinks", 0))

    best = sorted(study.decisions, key=lambda one: -saved(one))[:_MOST_ROWS]
    if not best:
        return []
    from topologies.hostlist import compress_hosts

    rows = [
        [
            one.ref,
            len(one.hosts),
            int((one.figures or {}).get("leaves_slurm", 0)),
            int((one.figures or {}).get("leaves", 0)),
            saved(one),
            compress_hosts(one.hosts),
        ]
        for one in best
    ]
    columns = ["job", "nodes", "leaf switches, Slurm", "planned", "edges saved", "would have run on"]
    caption = f"{len(study.decisions):,} jobs" + (
        f", the {_MOST_ROWS} that gain most" if len(rows) == _MOST_ROWS else ""
    )
    return [Block("jobs", "Jobs that would have gained most", table=Table(columns, rows, caption), short="Jobs")]
