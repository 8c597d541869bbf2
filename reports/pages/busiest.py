"""The busiest links of a placement, those that carry the same taken together."""

from __future__ import annotations

from planner.problem import Problem
from planner.report import Judged
from planner.result import Result
from reports.page import Table
from topologies.fabric import LinkKind

__all__ = ["busiest_links"]

_MOST_ROWS = 25
_MOST_LINKS = 2000
_MOST_NAMED = 6
_NEAR = 1e-4
"""Demands this near are one."""
_KINDS = {LinkKind.SCALE_UP: "scale-up", LinkKind.HOST: "inside a host"}
_TIERS = {1: "NIC to leaf", 2: "leaf to spine", 3: "spine to core"}


def busiest_links(problem: Problem, result: Result | Judged) -> Table:
    """Return the table: links of one tier with the same demand and jobs are one row; what is fought over first."""
    placed = [job.id for job in problem.jobs if job.id in result.placement]
    report, fabric = result.score.congestion, problem.fabric
    hottest = report.hottest_links(_MOST_LINKS)
    groups: dict[tuple[str, int, tuple[int, ...]], list[int]] = {}
    for link, jobs in zip(hottest.tolist(), report.jobs_by_link(hottest), strict=True):
        kind, tier = LinkKind(fabric.link_kind[link]), int(fabric.link_tier[link])
        place = _KINDS.get(kind) or _TIERS.get(tier, f"tier {tier}")
        key = (place, round(float(report.link_demand_frac[link]) / _NEAR), tuple(jobs.tolist()))
        groups.setdefault(key, []).append(link)
    rows = []
    for (where, step, on_it), links in sorted(groups.items(), key=lambda item: _order(*item))[:_MOST_ROWS]:
        names = [placed[j] for j in on_it]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        rows.append(
            [
                where,
                fabric.link_name(links[0]) + (f" and {len(links) - 1:,} alike" if len(links) > 1 else ""),
                step * _NEAR,
                float(report.link_load_frac[links[0]]),
                len(names),
                ", ".join(names[:_MOST_NAMED]) + more,
            ]
        )
    caption = f"Of the {len(hottest):,} links with most demand"
    return Table(["tier", "link", "demand over capacity", "load over capacity", "jobs", "which"], rows, caption)


def _order(key: tuple[str, int, tuple[int, ...]], links: list[int]) -> tuple[bool, bool, int, int]:
    """Return the sort key of a row: what is fought over first, then the scale-out, then by demand."""
    where, step, _ = key
    return step * _NEAR <= 1 + _NEAR, where in _KINDS.values(), -step, links[0]
