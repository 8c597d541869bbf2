"""`CongestionReport`: what jobs that communicate at the same time do to each other, in three views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from planner.congestion.incidence import Incidence
from topologies.fabric import Fabric
from topologies.routing.channels import Channels
from topologies.routing.rows import frozen

__all__ = ["VIEWS", "CongestionReport", "View", "ViewName"]

ViewName = Literal["isolated", "expected", "worst"]
VIEWS: tuple[ViewName, ...] = ("isolated", "expected", "worst")

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class View:
    """One way of looking at the same jobs; arrays are read-only.

    Attributes
    ----------
    name
        ``isolated``: each job alone on the fabric. ``worst``: all jobs communicate all the time. ``expected``: each job
        computes and communicates in turns, and the others are met as often as they communicate.
    time_s
        ``(J,)`` communication time of one step; 0 for a job that sends nothing.
    rate_bytes_per_s
        ``(J,)`` rate of the job's fastest flow in the phase that takes longest; inf for a job that sends nothing.
    bottleneck_link
        ``(J,)`` the link that holds the job back in that phase; −1 if none does.
    """

    name: ViewName
    time_s: Float64s
    rate_bytes_per_s: Float64s
    bottleneck_link: Int64s

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", frozen(self.time_s, np.float64))
        object.__setattr__(self, "rate_bytes_per_s", frozen(self.rate_bytes_per_s, np.float64))
        object.__setattr__(self, "bottleneck_link", frozen(self.bottleneck_link, np.int64))


@dataclass(frozen=True, eq=False)
class CongestionReport:
    """Rates, times and link loads of jobs that share a fabric.

    Attributes
    ----------
    fabric
        Where.
    routing
        Name of the routing.
    isolated, expected, worst
        The three views.
    channels
        What the columns of `incidence` stand for: links, and bundles of links that fill up together.
    incidence
        Rows × channels; row ``j × num_phases + k`` is phase k of job j.
    num_phases
        Phases a job.
    link_load_frac
        ``(L,)`` how full each link is in the worst view, 0 to 1.
    link_demand_frac
        ``(L,)`` how full it would be if every job ran as it does alone; above 1 the link is fought over.
    """

    fabric: Fabric
    routing: str
    isolated: View
    expected: View
    worst: View
    channels: Channels
    incidence: Incidence
    num_phases: int
    link_load_frac: Float64s
    link_demand_frac: Float64s

    def __post_init__(self) -> None:
        for name in ("link_load_frac", "link_demand_frac"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64))

    @property
    def num_jobs(self) -> int:
        """Number of jobs."""
        return int(self.worst.time_s.size)

    def view(self, name: ViewName) -> View:
        """Return one of the three views."""
        return {"isolated": self.isolated, "expected": self.expected, "worst": self.worst}[name]

    def slowdown(self, name: ViewName = "worst") -> Float64s:
        """Return communication time in a view over the time alone, ``(J,)``; 1 for a job that sends nothing."""
        alone, beside = self.isolated.time_s, self.view(name).time_s
        out = np.ones(alone.shape)
        np.divide(beside, alone, out=out, where=alone > 0)
        return out

    def jobs_on(self, link: int) -> Int64s:
        """Return the jobs that load a link, in order."""
        entry = np.flatnonzero(np.isin(self.incidence.link, self.channels.of_link(link)))
        row = np.searchsorted(self.incidence.row_start, entry, side="right") - 1
        return np.unique(row // self.num_phases)

    def jobs_by_link(self, links: Int64s) -> list[Int64s]:
        """Return for each link the jobs that load it, in order: `jobs_on` for many links at once."""
        position, channel = self.channels.of_links(links)
        by_channel = np.argsort(channel, kind="stable")
        sorted_channel = channel[by_channel]
        first = np.searchsorted(sorted_channel, self.incidence.link, side="left")
        count = np.searchsorted(sorted_channel, self.incidence.link, side="right") - first
        row = np.repeat(np.arange(self.incidence.num_rows), np.diff(self.incidence.row_start))
        entry = np.repeat(np.arange(count.size), count)
        within = np.arange(entry.size) - np.repeat(np.cumsum(count) - count, count)
        where = position[by_channel[first[entry] + within]]
        pairs = np.unique(where * np.int64(max(self.num_jobs, 1)) + row[entry] // self.num_phases)
        where, job = np.divmod(pairs, max(self.num_jobs, 1))
        return np.split(job, np.searchsorted(where, np.arange(1, links.size)))[: links.size]

    def hottest_links(self, count: int = 10) -> Int64s:
        """Return the links with the largest demand, most first; at most `count`, none without load."""
        loaded = np.flatnonzero(self.link_demand_frac > 0)
        order = np.lexsort((loaded, -self.link_demand_frac[loaded]))
        return loaded[order[:count]]
