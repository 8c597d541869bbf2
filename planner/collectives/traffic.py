"""Which bytes a collective sends from where to where: rings and hierarchies spelled out as flows between nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective
from planner.collectives.groups import Visits, all_pairs, crossings, next_visits, visits
from planner.collectives.places import pairs_by_place
from planner.collectives.relayed import relayed_blocks
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.routing.rows import Float64s, Int64s, count_at, frozen, running_total, spans

__all__ = ["ALGORITHMS", "Demand", "JobFlows", "job_flows"]

ALGORITHMS = ("ring", "hierarchical")

# Bytes that pass over every edge of a ring of p ranks, as a multiple of the size: c·(p − 1)/p, or c where the whole
# buffer is handed on. Patarasuk & Yuan 2009; sizes as nccl-tests states them (`planner.collectives.definitions`).
_PASSES = {"all-reduce": 2.0, "all-gather": 1.0, "reduce-scatter": 1.0}
_WHOLE = ("broadcast", "reduce", "send-recv")
_EXCHANGE = "all-to-all"
_MAX_LISTED = 250_000  # pairs of units; more are counted by place, 40 times faster at 4,096 accelerators
_MAX_PASSAGES = 2_000_000  # with 8 rails 16 million flows: some 2 GB while they are spelled out


@dataclass(frozen=True, slots=True)
class Demand:
    """One collective over one group.

    Attributes
    ----------
    size_bytes
        Payload, as nccl-tests states it for that collective.
    collective
        Which one.
    algorithm
        ``ring``: one ring over all ranks, each unit entered and left on every rail. ``hierarchical``: reduce-scatter in
        the unit, the collective across units, all-gather in the unit, one after the other. All-to-all is always a
        direct exchange between all pairs at once.
    """

    size_bytes: float
    collective: Collective = "all-reduce"
    algorithm: str = "ring"


@dataclass(frozen=True, eq=False)
class JobFlows:
    """The flows of one collective of each job, sorted by job and phase; arrays are read-only.

    Attributes
    ----------
    num_jobs, num_phases
        Sizes. The flows of one job and phase move together at one pace; the phases of a job follow each other.
    job, phase
        ``(F,)``.
    source_node, target_node
        ``(F,)`` NICs or accelerators.
    size_bytes
        ``(F,)`` bytes that the flow carries from beginning to end of the phase.
    scale_up_steps, scale_out_steps
        ``(J,)`` messages that follow each other inside units and between units: each costs one latency.
    """

    num_jobs: int
    num_phases: int
    job: Int64s
    phase: Int64s
    source_node: Int64s
    target_node: Int64s
    size_bytes: Float64s
    scale_up_steps: Int64s
    scale_out_steps: Int64s

    def __post_init__(self) -> None:
        for name in ("job", "phase", "source_node", "target_node", "scale_up_steps", "scale_out_steps"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64))
        object.__setattr__(self, "size_bytes", frozen(self.size_bytes, np.float64))
        if np.any(np.diff(self.row) < 0):
            raise InputError(what="flows are not sorted by job and phase", where="JobFlows")

    @property
    def num_flows(self) -> int:
        """Number of flows."""
        return int(self.job.size)

    @property
    def row(self) -> Int64s:
        """``job × num_phases + phase`` of each flow, ``(F,)``: flows of one row move at one pace."""
        return self.job * self.num_phases + self.phase

    @property
    def row_start(self) -> Int64s:
        """Where the flows of each row start, ``(num_jobs × num_phases + 1,)``."""
        return running_total(count_at(self.row, self.num_jobs * self.num_phases))


def job_flows(fabric: Fabric, ranks: Sequence[npt.ArrayLike], demands: Sequence[Demand]) -> JobFlows:
    """Spell out the flows of one collective a job.

    The last flow of a ring in a unit goes back to the first member, as the accelerator at the NIC of a rail passes on
    what arrived for it there (PXN); with all rails in use every edge inside carries (k − 1)/k of the ring's bytes.
    Where accelerators of one host share no scale-up domain, what they exchange stays in the host and is not counted.
    An all-to-all over very many units has one flow from each unit to each set of leaves in place of one to each unit
    (`planner.collectives.places`); that is for spraying, where only their sum matters.

    Parameters
    ----------
    ranks
        For each job its accelerators in rank order.
    demands
        For each job what it runs.

    Raises
    ------
    InputError
        If lengths differ, a size is negative or not a number, an algorithm is unknown, or a group is not usable.
    """
    if len(ranks) != len(demands):
        raise InputError(what="one demand a group is needed", found=f"{len(ranks)} groups, {len(demands)} demands")
    for j, demand in enumerate(demands):
        _check_demand(demand, f"job {j}")
    seen = visits(fabric, ranks)
    size = np.array([d.size_bytes for d in demands], np.float64)
    num_ranks = np.array([np.size(r) for r in ranks], np.int64)
    num_units = seen.num_visits
    is_ring = np.array([d.algorithm == "ring" for d in demands], bool)
    passes = np.array([_PASSES.get(d.collective, 0.0) for d in demands])
    whole = np.array([d.collective in _WHOLE for d in demands], bool)
    is_exchange = np.array([d.collective == _EXCHANGE for d in demands], bool)

    def edge_bytes(members: Int64s, job: Int64s) -> Float64s:
        """Bytes over one edge of a ring of so many members."""
        return size[job] * np.where(whole[job], 1.0, passes[job] * (members - 1) / members)

    pieces: list[_Piece] = []
    leaves, enters = next_visits(seen)
    keep = ~is_exchange[seen.job[leaves]]
    leaves, enters = leaves[keep], enters[keep]
    across = crossings(fabric, seen, leaves, enters)
    job = seen.job[leaves[across.passage]]
    amount = across.share_frac * edge_bytes(np.where(is_ring, num_ranks, num_units)[job], job)
    pieces.append(_Piece(job, np.where(is_ring[job], 0, 1), across.source, across.target, amount))

    visit, source, target = _circles(seen)
    job, members = seen.job[visit], seen.num_members[visit]
    part = np.where(num_units[job] == 1, 1.0, (members - 1) / members)
    amount = np.where(is_ring[job], part * edge_bytes(num_ranks[job], job), edge_bytes(members, job))
    inside = ~is_exchange[job]
    pieces.append(
        _Piece(job, np.zeros_like(job), source, target, amount).where(inside & _joined(fabric, source, target))
    )

    if is_exchange.any():
        pieces += _exchange(fabric, seen, size / num_ranks, is_exchange)
    flows = [np.concatenate(column) for column in zip(*(p.columns for p in pieces), strict=True)]
    order = np.argsort(flows[0] * 2 + flows[1], kind="stable")
    job, phase, source, target, size_bytes = (column[order[flows[4][order] > 0]] for column in flows)
    rounds = np.where(whole | is_exchange, 1, passes).astype(np.int64)
    in_steps = np.where(is_ring, num_ranks - num_units, _largest(seen) - 1)
    return JobFlows(
        num_jobs=len(ranks),
        num_phases=2,
        job=job,
        phase=phase,
        source_node=source,
        target_node=target,
        size_bytes=size_bytes,
        scale_up_steps=rounds * in_steps,
        scale_out_steps=rounds * (num_units - 1),
    )


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some flows, in columns."""

    job: Int64s
    phase: Int64s
    source: Int64s
    target: Int64s
    size_bytes: Float64s

    @property
    def columns(self) -> tuple[Int64s, Int64s, Int64s, Int64s, Float64s]:
        return self.job, self.phase, self.source, self.target, self.size_bytes

    def where(self, mask: npt.NDArray[np.bool_]) -> _Piece:
        return _Piece(self.job[mask], self.phase[mask], self.source[mask], self.target[mask], self.size_bytes[mask])


def _exchange(fabric: Fabric, seen: Visits, block_bytes: Float64s, chosen: npt.NDArray[np.bool_]) -> list[_Piece]:
    """All-to-all: a block from every rank to every other; between units on the receiver's rail (PXN).

    What another member's NIC carries goes over the scale-up domain to that member first.
    """
    first, second = all_pairs(seen.member_start, chosen[seen.job])
    visit = np.repeat(np.arange(seen.job.size), seen.num_members)[first]
    source, target, job = seen.member[first], seen.member[second], seen.job[visit]
    leaves, enters, times = _passages(fabric, seen, chosen)
    across = crossings(fabric, seen, leaves, enters)
    relayed = relayed_blocks(fabric, seen, leaves, enters, across, (visit, source, target), times)
    near = _Piece(job, np.zeros_like(job), source, target, (1.0 + relayed) * block_bytes[job])
    near = near.where(_joined(fabric, source, target))
    blocks = (times * seen.num_members[leaves] * seen.num_members[enters])[across.passage]
    job = seen.job[leaves[across.passage]]
    amount = across.share_frac * blocks * block_bytes[job]
    return [near, _Piece(job, np.zeros_like(job), across.source, across.target, amount)]


def _passages(fabric: Fabric, seen: Visits, chosen: npt.NDArray[np.bool_]) -> tuple[Int64s, Int64s, Int64s]:
    """Return every pair of units of each exchange once, or, where they are too many, counted by the leaves they are on.

    Returns
    -------
    leaves, enters
        ``(P,)`` visits.
    times
        ``(P,)`` for how many pairs each stands.
    """
    passages = np.where(chosen, seen.num_visits * (seen.num_visits - 1), 0)
    if passages.sum() <= _MAX_LISTED:
        leaves, enters = all_pairs(seen.job_start, chosen)
        return leaves, enters, np.ones(leaves.size, np.int64)
    counted = pairs_by_place(fabric, seen, chosen, _MAX_PASSAGES)
    if counted is None:
        raise InputError(
            what="an all-to-all over too many units to spell out",
            where=f"job {int(np.argmax(passages))}",
            found=f"{int(passages.sum()):,} pairs of units",
            allowed=f"at most {_MAX_PASSAGES:,} pairs of a unit and a set of leaves",
            fix="give the groups that really exchange (expert-parallel groups), not the whole job",
        )
    return counted


def _check_demand(demand: Demand, where: str) -> None:
    if not 0 <= demand.size_bytes < float("inf"):
        raise InputError(what="size out of range", where=where, found=demand.size_bytes, allowed="0 or more bytes")
    if demand.algorithm not in ALGORITHMS:
        raise InputError(
            what="no such algorithm", where=where, found=repr(demand.algorithm), allowed=", ".join(ALGORITHMS)
        )
    if demand.collective not in (*_PASSES, *_WHOLE, _EXCHANGE):
        raise InputError(
            what="no flows are known for this collective",
            where=where,
            found=repr(demand.collective),
            allowed=", ".join((*_PASSES, *_WHOLE, _EXCHANGE)),
        )


def _largest(seen: Visits) -> Int64s:
    """Members of the largest unit of each job, ``(J,)``."""
    largest = np.zeros(seen.job_start.size - 1, np.int64)
    np.maximum.at(largest, seen.job, seen.num_members)
    return largest


def _circles(seen: Visits) -> tuple[Int64s, Int64s, Int64s]:
    """Return each member and the next one of its unit, the last and the first: ``(visit, source, target)``."""
    num = seen.num_members
    visit = np.repeat(np.arange(seen.job.size), num)
    place = spans(np.zeros(num.size, np.int64), num)
    following = seen.member_start[visit] + (place + 1) % num[visit]
    return visit, seen.member, seen.member[following]


def _joined(fabric: Fabric, source: Int64s, target: Int64s) -> npt.NDArray[np.bool_]:
    """Return which pairs are two accelerators of one scale-up domain."""
    domain = fabric.accelerator_domain
    joined: npt.NDArray[np.bool_] = (source != target) & (domain[source] == domain[target])
    return joined
