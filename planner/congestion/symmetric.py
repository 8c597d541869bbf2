"""Closed form for rail-symmetric fabrics that spray: the worst link of every job from (job, leaf group) counts alone.

On a folded Clos with alike hosts, a ring that visits each leaf group once leaves it once on every rail, and each pod
once. What it puts on a leaf group's uplinks is then one rate a rail, whatever its hosts are called, and the same for
all rails; a job's fair share of its worst link is

    min( NIC, min over its leaf groups  c_g / n_g,  min over its pods  c_p / n_p )

with n the number of jobs that leave the group or the pod, and c the ring rate at which its uplinks are full. This is
the *naive* share (`planner.congestion.maxmin.bottleneck_rates`), a lower bound of job max-min, in microseconds: what a
search over many placements needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.routing.channels import PlaneChannels
from topologies.routing.router import router_for
from topologies.routing.rows import Float64s, Int64s, running_total

__all__ = ["GroupUse", "Places", "RailSymmetry"]

_MAX_HEIGHTS = 3  # NIC to leaf, leaf to spine, spine to core


@dataclass(frozen=True, eq=False)
class Places:
    """Leaf groups or pods of the jobs that have several of them.

    Attributes
    ----------
    job
        ``(K,)`` those jobs, rising.
    begin, place
        Compressed rows: the places of ``job[k]`` start at ``place[begin[k]]``.
    """

    job: Int64s
    begin: Int64s
    place: Int64s

    @staticmethod
    def of(lists: Sequence[Int64s]) -> Places:
        """Return the places of jobs, those with a single one left out."""
        job = np.array([j for j, places in enumerate(lists) if places.size > 1], np.int64)
        kept = [lists[j] for j in job]
        begin = running_total(np.array([k.size for k in kept], np.int64))[:-1]
        return Places(job, begin, np.concatenate([*kept, np.zeros(0, np.int64)]))


@dataclass(frozen=True, eq=False)
class GroupUse:
    """Where jobs are: the leaf groups and pods of each job that leaves one; arrays are read-only.

    Attributes
    ----------
    num_jobs
        All jobs, with those that stay inside one leaf group.
    groups, pods
        Leaf groups, and pods, of the jobs that have several.
    """

    num_jobs: int
    groups: Places
    pods: Places


@dataclass(frozen=True, eq=False)
class RailSymmetry:
    """Ring rates at which the uplinks of leaf groups and pods are full.

    Attributes
    ----------
    nic_bytes_per_s
        Rate of the slowest NIC: no ring runs faster on a rail.
    group_bytes_per_s
        ``(G,)`` ring rate at which the uplinks of a leaf group are full with one ring.
    group_pod
        ``(G,)`` pod of each leaf group; one for all where there is no tier above the spines.
    pod_bytes_per_s
        ``(P,)`` the same for pods.
    host_group
        ``(H,)`` leaf group of each host.
    """

    nic_bytes_per_s: float
    group_bytes_per_s: Float64s
    group_pod: Int64s
    pod_bytes_per_s: Float64s
    host_group: Int64s

    @staticmethod
    def of(fabric: Fabric) -> RailSymmetry | None:
        """Return the closed form of a fabric, or None where it does not hold.

        It holds where every host of a leaf group has the same NICs on the same bundles of uplinks, no bundle belongs to
        two leaf groups, and the network is a folded Clos without shared bundles (`topologies.routing.clos`).
        """
        router = router_for(fabric)
        clos, plane = router.scale_out.clos, router.scale_out.plane
        if clos is None or not fabric.num_nics or clos.num_heights > _MAX_HEIGHTS:
            return None
        numbers = router.channels.planes[router.scale_out.number]
        nic_group = plane.group[fabric.num_accelerators + np.arange(fabric.num_nics)]
        if numbers.shared.any() or np.any(nic_group < 0):
            return None
        capacity = router.channels.capacity_bytes_per_s
        tiers = [_tier(clos.bundle_of[h, nic_group], fabric, numbers, capacity) for h in range(clos.num_heights - 1)]
        if any(tier is None for tier in tiers):
            return None
        everything = (np.zeros(fabric.num_leaf_groups, np.int64), np.array([np.inf]))
        found = [tier for tier in tiers if tier is not None] + [everything, everything]
        (group, group_rate), (pod, pod_rate) = found[0], found[1]
        if len(tiers) and len(group_rate) != fabric.num_leaf_groups:
            return None
        nics = slice(fabric.num_accelerators, None)
        access = np.concatenate((numbers.access_up[nics], numbers.access_down[nics]))
        return RailSymmetry(
            float(capacity[access].min()),
            group_rate[group],
            pod,
            pod_rate,
            fabric.host_leaf_group.astype(np.int64),
        )

    def use_of(self, hosts: Sequence[npt.ArrayLike]) -> GroupUse:
        """Return the leaf groups and pods that jobs leave.

        Parameters
        ----------
        hosts
            For each job its hosts.
        """
        lists = [np.unique(self.host_group[np.asarray(h, np.int64)]) for h in hosts]
        pods = [np.unique(self.group_pod[groups]) for groups in lists]
        return GroupUse(len(lists), Places.of(lists), Places.of(pods))

    def rates(self, use: GroupUse) -> Float64s:
        """Fair share of the worst link of each job, ``(J,)``: the rate of its ring on a rail."""
        rate = np.full(use.num_jobs, self.nic_bytes_per_s)
        _lower(rate, use.groups, self.group_bytes_per_s)
        _lower(rate, use.pods, self.pod_bytes_per_s)
        return rate

    def candidate_rates(self, use: GroupUse, candidates: npt.ArrayLike) -> tuple[Float64s, Float64s]:
        """Judge places for one more job, each beside all jobs that are there.

        Parameters
        ----------
        use
            The jobs that are there.
        candidates
            ``(C, k)`` hosts of each candidate.

        Returns
        -------
        tuple
            Rate of the new job, ``(C,)``, and of every other job, ``(C, J)``, under each candidate.

        Raises
        ------
        InputError
            If a host number is out of range.
        """
        hosts = np.asarray(candidates, np.int64)
        if hosts.ndim != 2 or (hosts.size and (hosts.min() < 0 or hosts.max() >= self.host_group.size)):
            raise InputError(
                what="candidates must be rows of host numbers",
                where="candidates",
                allowed=f"0…{self.host_group.size - 1}",
            )
        own = np.full(len(hosts), self.nic_bytes_per_s)
        others = np.repeat(self.rates(use)[:, None], len(hosts), axis=1)
        group = self.host_group[hosts]
        _add_candidates(use.groups, self.group_bytes_per_s, group, own, others)
        if self.pod_bytes_per_s.size > 1:
            _add_candidates(use.pods, self.pod_bytes_per_s, self.group_pod[group], own, others)
        return own, others.T


def _lower(rate: Float64s, places: Places, full: Float64s) -> None:
    """Lower each rate to the smallest fair share of its places, in place."""
    if places.job.size:
        share = np.bincount(places.place, minlength=full.size)
        level = (full / np.maximum(share, 1))[places.place]
        rate[places.job] = np.minimum(rate[places.job], np.minimum.reduceat(level, places.begin))


def _add_candidates(places: Places, full: Float64s, chosen: Int64s, own: Float64s, others: Float64s) -> None:
    """Lower `own` (C,) and `others` (J, C) by what one more ring a candidate does at its places `chosen` (C, k).

    With one ring more, the share of a place takes one of few values. Candidates × places are kept as ranks of these in
    small whole numbers, 0 where the candidate adds nothing, so that the largest rank of a job's places tells its rate.
    """
    there = np.zeros((full.size, len(chosen)), bool)
    there[chosen, np.arange(len(chosen))[:, None]] = True
    there &= np.count_nonzero(there, axis=0) > 1  # who stays in one place leaves none
    level = full / (np.bincount(places.place, minlength=full.size) + 1)
    values = np.unique(level)[::-1]
    small = np.uint8 if values.size < np.iinfo(np.uint8).max else np.uint16
    rank = (values.size - np.searchsorted(values[::-1], level)).astype(small)  # 1 is the largest share
    ranks = there * rank[:, None]
    share = np.concatenate(([np.inf], values))
    np.minimum(own, share[ranks.max(axis=0, initial=0)], out=own)
    if places.job.size:
        order, worst = _largest_of_rows(ranks, places)
        job = places.job[order]
        others[job] = np.minimum(others[job], share[worst])


def _largest_of_rows(
    ranks: npt.NDArray[np.unsignedinteger[Any]], places: Places
) -> tuple[Int64s, npt.NDArray[np.unsignedinteger[Any]]]:
    """Largest of the rows of `ranks` that each job's places name: order of the jobs, and ``(K, C)`` in that order.

    Jobs with most places first, so that their second, third… places are blocks: a few times as fast as `reduceat`,
    which goes down each column by itself.
    """
    size = np.diff(places.begin, append=places.place.size)
    order = np.argsort(-size, kind="stable")
    begin, size = places.begin[order], size[order]
    worst = ranks[places.place[begin]]
    for k in range(1, int(size[0])):
        num = int(np.searchsorted(-size, -k))  # jobs with more than k places
        np.maximum(worst[:num], ranks[places.place[begin[:num] + k]], out=worst[:num])
    return order, worst


def _tier(bundle: Int64s, fabric: Fabric, numbers: PlaneChannels, capacity: Float64s) -> tuple[Int64s, Float64s] | None:
    """Place of each leaf group at one tier, and the ring rate at which each place is full; None if hosts differ.

    Leaf groups are in one place if their NICs use the same bundles.
    """
    if np.any(bundle < 0):
        return None
    num_bundles = int(bundle.max()) + 1
    pair, count = np.unique(fabric.nic_host.astype(np.int64) * num_bundles + bundle, return_counts=True)
    host = pair // num_bundles
    start = np.searchsorted(host, np.arange(fabric.num_hosts + 1))
    signature: dict[bytes, int] = {}
    rates: list[float] = []
    used: set[int] = set()
    place = np.full(fabric.num_leaf_groups, -1, np.int64)
    first_host = np.full(fabric.num_leaf_groups, -1, np.int64)
    mine = fabric.host_leaf_group
    first_host[mine[::-1]] = np.arange(fabric.num_hosts)[::-1]
    lengths = np.diff(start)
    if np.any(lengths != lengths[first_host[mine]]):
        return None
    for g, h in enumerate(first_host):
        span = slice(start[h], start[h + 1])
        bundles, times = pair[span] % num_bundles, count[span]
        key = bundles.tobytes() + times.tobytes()
        if key not in signature:
            if used & set(bundles.tolist()):
                return None
            used |= set(bundles.tolist())
            signature[key] = len(rates)
            both = np.minimum(capacity[numbers.first_up + bundles], capacity[numbers.first_down + bundles])
            rates.append(float((both / times).min()))
        place[g] = signature[key]
    # Every other host of a leaf group must look like its first one.
    offset = np.arange(host.size) - start[host]
    twin = start[first_host[mine[host]]] + offset
    if np.any(pair[twin] % num_bundles != pair % num_bundles) or np.any(count[twin] != count):
        return None
    return place, np.array(rates)
