"""Run times stretched by congestion: jobs that cross leaf groups are scored again whenever one comes or goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from planner.collectives.traffic import Demand, job_flows
from planner.congestion.score import score_flows
from planner.replay.journal import Journal
from planner.replay.on_fabric import ranks_of
from planner.replay.running import Running
from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s
from topologies.routing.named import routing_named

__all__ = ["STEP_BYTES", "Congestion"]

STEP_BYTES = 2.0**30
"""Payload of the all-reduce of a step where nothing is said."""


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
        self._crossing: dict[int, Int64s] = {}
        self._slowdown: dict[int, float] = {}
        self._known: dict[tuple[bytes, ...], list[float]] = {}
        self.num_scored = 0

    def changed(
        self, running: Mapping[int, Running], started: Sequence[Running], ended: Sequence[Running]
    ) -> Mapping[int, float]:
        """Score again if a job that crosses leaf groups came or went."""
        before = len(self._crossing)
        gone = [self._crossing.pop(run.number, None) is not None for run in ended]
        for run in ended:
            self._slowdown.pop(run.number, None)
        for run in started:
            if run.number in running and self._crosses(run):
                self._crossing[run.number] = ranks_of(self._fabric, run.grants)
        if not any(gone) and len(self._crossing) == before:
            return {}
        numbers = sorted(self._crossing)
        found = dict(zip(numbers, self._score([self._crossing[n] for n in numbers]), strict=True))
        new = {n: s for n, s in found.items() if abs(s - self._slowdown.get(n, 1.0)) > 1e-9}
        self._slowdown.update(new)
        return new

    def _crosses(self, run: Running) -> bool:
        leaf = self._fabric.host_leaf_group
        return len({int(leaf[grant.host]) for grant in run.grants}) > 1

    def _score(self, ranks: list[Int64s]) -> list[float]:
        if len(ranks) < 2:
            return [1.0] * len(ranks)
        key = tuple(r.tobytes() for r in ranks)
        known = self._known.get(key)
        if known is None:
            self.num_scored += 1
            known = self._known[key] = self._told(ranks)
        return known

    def _told(self, ranks: list[Int64s]) -> list[float]:
        """Return the score as the journal knows it, or find it and write it down."""
        known: list[float] | None = None if self._journal is None else self._journal.known("score")
        if known is None:
            flows = job_flows(self._fabric, ranks, [self._demand] * len(ranks))
            alone = score_flows(self._fabric, flows, self._routing).isolated.time_s
            compute = alone * (1 - self._part) / self._part
            report = score_flows(self._fabric, flows, self._routing, compute_s=compute)
            slowdown = np.maximum((compute + report.expected.time_s) / (compute + alone), 1.0)
            known = slowdown.tolist()
            if self._journal is not None:
                self._journal.add("score", known)
        return known
