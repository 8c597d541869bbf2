"""Run times stretched by congestion: jobs that cross leaf groups are scored again whenever one comes or goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.collectives.traffic import Demand, job_flows
from planner.congestion.loads import loads_of
from planner.congestion.maxmin import link_rate
from planner.congestion.score import alone_rates, score_flows
from planner.replay.fragmentation import Float64s
from planner.replay.journal import Journal
from planner.replay.on_fabric import ranks_of
from planner.replay.running import Running
from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s
from topologies.routing.named import routing_named

__all__ = ["STEP_BYTES", "Congestion"]

STEP_BYTES = 2.0**30
"""Payload of the all-reduce of a step where nothing is said."""

_FULL_REL = 1e-9


@dataclass(frozen=True, eq=False)
class _Alone:
    """A job that crosses leaf groups: its ranks, its step's collective alone, and how full it makes which links."""

    ranks: Int64s
    time_s: float
    link: Int64s
    fill_frac: Float64s


class Congestion:
    """Slows jobs down by what the links between leaf groups carry.

    A job computes for a part of each step and runs one collective over all its ranks in the rest, as long as it has the
    network to itself. A job in one leaf group meets nobody and is not slowed down.

    Parameters
    ----------
    fabric
        Where.
    size_bytes
        Payload of the collective (an all-reduce) of a step.
    communicate_frac
        Part of a step, alone on the network, in which a job communicates: above 0, below 1.
    routing
        How flows find their ways.
    journal
        Where scores are kept.

    Raises
    ------
    InputError
        If a figure is out of range or there is no such routing.
    """

    def __init__(
        self,
        fabric: Fabric,
        *,
        size_bytes: float = STEP_BYTES,
        communicate_frac: float = 0.3,
        routing: str = "spray",
        journal: Journal | None = None,
    ) -> None:
        if not 0 < communicate_frac < 1:
            raise InputError(
                what="a job communicates for a part of its time",
                where="--communicate-frac",
                found=communicate_frac,
                allowed="above 0, below 1",
            )
        self._fabric = fabric
        self._demand = Demand(size_bytes)
        self._journal = journal
        self._part = communicate_frac
        self._routing = routing_named(routing)
        self._crossing: dict[int, _Alone] = {}
        self._slowdown: dict[int, float] = {}
        self._known: dict[tuple[bytes, ...], list[float]] = {}
        self._filled: Float64s = np.zeros(0)
        self.num_scored = 0

    def changed(
        self, running: Mapping[int, Running], started: Sequence[Running], ended: Sequence[Running]
    ) -> Mapping[int, float]:
        """Score again those that may meet a job that crosses leaf groups and came or went."""
        has_changed = False
        for run in ended:
            self._slowdown.pop(run.number, None)
            gone = self._crossing.pop(run.number, None)
            if gone is not None:
                has_changed = True
                self._filled[gone.link] -= gone.fill_frac
        for run in started:
            if run.number in running and self._crosses(run):
                has_changed = True
                self._crossing[run.number] = come = self._alone(ranks_of(self._fabric, run.grants))
                self._filled[come.link] += come.fill_frac
        if not has_changed:
            return {}
        found: dict[int, float] = dict.fromkeys(self._slowdown, 1.0)
        for group in self._meeting():
            found |= zip(group, self._score([self._crossing[number] for number in group]), strict=True)
        new = {n: s for n, s in found.items() if abs(s - self._slowdown.get(n, 1.0)) > 1e-9}
        self._slowdown = {n: s for n, s in found.items() if s > 1}
        return new

    def _crosses(self, run: Running) -> bool:
        leaf = self._fabric.host_leaf_group
        return len({int(leaf[grant.host]) for grant in run.grants}) > 1

    def _alone(self, ranks: Int64s) -> _Alone:
        """Return what a job does to the network when nobody else is there."""
        loads = loads_of(self._fabric, job_flows(self._fabric, [ranks], [self._demand]), self._routing)
        capacity = loads.channels.capacity_bytes_per_s
        if not self._filled.size:
            self._filled = np.zeros(capacity.size)
        rate = alone_rates(loads.incidence, capacity).rate_bytes_per_s
        most = np.zeros(capacity.size)  # phases follow each other: a link sees the worst of them
        for row in np.flatnonzero(loads.row_bytes > 0):
            phase = loads.incidence.select(np.array([row]))
            np.maximum(most, link_rate(phase, rate[[row]]) / capacity, out=most)
        link = np.flatnonzero(most)
        return _Alone(ranks, float(loads.times_at(rate)[0]), link, most[link])

    def _meeting(self) -> list[list[int]]:
        """Return the jobs that meet on links that can fill up, in groups that have none of those in common.

        What all jobs together cannot fill holds nobody back, so all others run as if they were alone.
        """
        is_hot = self._filled > 1 + _FULL_REL
        if not is_hot.any():
            return []
        leader: dict[int, int] = {}
        first_on: dict[int, int] = {}

        def find(number: int) -> int:
            while leader[number] != number:
                leader[number] = number = leader[leader[number]]
            return number

        for number in sorted(self._crossing):
            link = self._crossing[number].link
            for hot in link[is_hot[link]].tolist():
                leader.setdefault(number, number)
                other = first_on.setdefault(hot, number)
                leader[find(number)] = find(other)
        groups: dict[int, list[int]] = {}
        for number in leader:
            groups.setdefault(find(number), []).append(number)
        return [sorted(group) for group in groups.values() if len(group) > 1]

    def _score(self, jobs: list[_Alone]) -> list[float]:
        key = tuple(job.ranks.tobytes() for job in jobs)
        known = self._known.get(key)
        if known is None:
            self.num_scored += 1
            known = self._known[key] = self._told(jobs)
        return known

    def _told(self, jobs: list[_Alone]) -> list[float]:
        """Return the score as the journal knows it, or find it and write it down."""
        known: list[float] | None = None if self._journal is None else self._journal.known("score")
        if known is None:
            alone = np.array([job.time_s for job in jobs])
            compute = alone * (1 - self._part) / self._part
            flows = job_flows(self._fabric, [job.ranks for job in jobs], [self._demand] * len(jobs))
            report = score_flows(self._fabric, flows, self._routing, compute_s=compute)
            slowdown = np.maximum((compute + report.expected.time_s) / (compute + alone), 1.0)
            known = slowdown.tolist()
            if self._journal is not None:
                self._journal.add("score", known)
        return known
