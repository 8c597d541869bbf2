"""`best_rank_order`: which rank goes on which accelerator of a set, so that what talks most stays nearest.

Accelerators are put in *locality order*: pod by pod, leaf group by leaf group, unit by unit (a scale-up domain), so
that a ring along them leaves each leaf and each pod once. Tensor and context parallel neighbours then fill blocks
inside units (expert parallel ones too, where a block of them fits), and blocks are dealt out to the outer axes, data
and pipeline parallelism, in each of the orders that these have. The order with the shortest step of communication wins;
the order asked about competes as well, so the answer is never worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

from planner.collectives.groups import visits
from planner.collectives.traffic import job_flows
from planner.congestion.parallel_layout import AXES, Axis, ParallelLayout
from planner.congestion.score import score_flows
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.routing.network import Routing
from topologies.routing.rows import Int64s

__all__ = ["RankOrder", "best_rank_order", "communication_s", "locality_order", "ring_crossings"]


@dataclass(frozen=True, eq=False)
class RankOrder:
    """An answer of `best_rank_order`.

    Attributes
    ----------
    ranks
        Accelerators in rank order.
    time_s, given_time_s
        Communication a step of this order and of the order asked about: all groups of an axis at once, one axis after
        the other.
    leaf_crossings, given_leaf_crossings
        How often the ring over all ranks goes from one leaf group to another.
    pod_crossings, given_pod_crossings
        The same for pods.
    """

    ranks: Int64s
    time_s: float
    given_time_s: float
    leaf_crossings: int
    given_leaf_crossings: int
    pod_crossings: int
    given_pod_crossings: int

    @property
    def gain_frac(self) -> float:
        """Part of the communication time that the new order saves, 0 to 1."""
        return 1.0 - self.time_s / self.given_time_s if self.given_time_s else 0.0


def locality_order(fabric: Fabric, accelerators: npt.ArrayLike) -> Int64s:
    """Return the accelerators pod by pod, leaf group by leaf group, unit by unit, host by host."""
    chosen = np.asarray(accelerators, np.int64)
    host = fabric.accelerator_host[chosen]
    domain = fabric.accelerator_domain[chosen]
    # A scale-up domain may span leaf groups: it stays together, at the place of its first host.
    _, which = np.unique(domain, return_inverse=True)
    first = np.full(which.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, which, host)
    lead = first[which]
    order = np.lexsort((chosen, domain, fabric.host_leaf_group[lead], fabric.host_pod[lead]))
    return chosen[order]


def ring_crossings(place_of_host: npt.NDArray[np.integer], fabric: Fabric, ranks: npt.ArrayLike) -> int:
    """Count how often a ring in rank order goes from one place (leaf group, pod) to another, back to the start too.

    Units are visited once each, in the order of their first rank, as NCCL does.
    """
    seen = visits(fabric, [ranks])
    hosts = fabric.accelerator_host[seen.member[seen.member_start[:-1]]]
    place = place_of_host[hosts]
    return int(np.count_nonzero(place != np.roll(place, -1)))


def communication_s(fabric: Fabric, ranks: npt.ArrayLike, layout: ParallelLayout, routing: Routing) -> float:
    """Communication of one step: for each axis all its groups at once, the axes one after the other."""
    placed = np.asarray(ranks, np.int64)
    total = 0.0
    for axis in AXES:
        groups, demand = layout.groups(axis), layout.demand(axis)
        if groups.shape[1] == 1 or demand.size_bytes == 0:
            continue
        flows = job_flows(fabric, list(placed[groups]), [demand] * len(groups))
        total += float(score_flows(fabric, flows, routing).worst.time_s.max(initial=0.0))
    return total


def best_rank_order(fabric: Fabric, accelerators: npt.ArrayLike, layout: ParallelLayout, routing: Routing) -> RankOrder:
    """Return the best order found for a set of accelerators, and what it gains on the order given.

    Parameters
    ----------
    accelerators
        The accelerators of the job, in the order to compare with.
    layout
        Degrees of parallelism and bytes.
    routing
        How flows find their ways.

    Raises
    ------
    InputError
        If the number of accelerators is not that of the layout's ranks, or a group has no way.
    """
    given = np.asarray(accelerators, np.int64)
    if given.size != layout.num_ranks:
        raise InputError(
            what="the layout does not fit the accelerators",
            where="rank order",
            found=f"{given.size} accelerators",
            allowed=f"tp × cp × dp × pp = {layout.num_ranks}",
        )
    best, best_s = given, communication_s(fabric, given, layout, routing)
    given_s = best_s
    for order in _candidates(fabric, given, layout):
        time_s = communication_s(fabric, order, layout, routing)
        if time_s < best_s * (1.0 - _WORTH_A_CHANGE_FRAC):
            best, best_s = order, time_s
    group, pod = fabric.host_leaf_group, fabric.host_pod
    return RankOrder(
        best,
        best_s,
        given_s,
        ring_crossings(group, fabric, best),
        ring_crossings(group, fabric, given),
        ring_crossings(pod, fabric, best),
        ring_crossings(pod, fabric, given),
    )


_WORTH_A_CHANGE_FRAC = 1e-9  # less than this is rounding


def _candidates(fabric: Fabric, given: Int64s, layout: ParallelLayout) -> list[Int64s]:
    """Locality order cut into blocks, the blocks dealt out to the outer axes in every nesting."""
    near = locality_order(fabric, given)
    outer: dict[Axis, int] = {"dp": layout.dp // layout.ep, "ep": layout.ep, "pp": layout.pp}
    tried: list[Int64s] = []
    for block in sorted({layout.block, layout.block * layout.ep}):
        packed = _packed(fabric, near, block).reshape(-1, layout.block)
        for nesting in permutations(outer):
            # Blocks are handed out with the last axis of the nesting fastest; ranks want (pp, dp, ep) order.
            grid = np.arange(len(packed)).reshape([outer[axis] for axis in nesting])
            wanted = grid.transpose([nesting.index(axis) for axis in ("pp", "dp", "ep")]).ravel()
            order = packed[wanted].ravel()
            if not any(np.array_equal(order, other) for other in tried):
                tried.append(order)
    return tried


def _packed(fabric: Fabric, near: Int64s, block: int) -> Int64s:
    """Put blocks that fit whole into one unit first, in locality order; what is left of the units makes up the rest."""
    domain = fabric.accelerator_domain[near]
    start = np.flatnonzero(np.diff(domain, prepend=-1))
    size = np.diff(start, append=near.size)
    place = np.arange(near.size) - np.repeat(start, size)
    whole = place < np.repeat(size // block * block, size)
    if whole.all():
        return near
    # Left-overs join where their unit stands, so that a block of them stays as local as can be.
    rest = near[~whole]
    blocks = [near[whole].reshape(-1, block), rest.reshape(-1, block)]
    position = np.empty(fabric.num_accelerators, np.int64)
    position[near] = np.arange(near.size)
    joined = np.concatenate(blocks)
    return joined[np.argsort(position[joined[:, 0]], kind="stable")].ravel()
