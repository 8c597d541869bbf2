"""What jobs put on the uplinks of leaf groups and pods, from counts: the linear form that a search can afford.

A ring that leaves a leaf group sends one NIC's rate over its uplinks, an all-to-all over n hosts of which h are inside
h·(n − h)/(n − 1) of them. A job's rate is the least fair share of the uplinks it uses (the *naive* share of
`planner.congestion`); its slow-down is that over its rate alone. `planner.evaluate` judges what this finds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.job import Job
from planner.placement import Placement
from planner.problem import Problem
from topologies.fabric import Fabric, Float64s, Int64s, LinkKind, NodeKind

__all__ = ["Loads", "Uplinks", "multiplicities"]


@dataclass(frozen=True, eq=False)
class Uplinks:
    """Uplinks of places: leaf groups first, then pods.

    Attributes
    ----------
    capacity
        ``(num_leaf_groups + num_pods,)`` full-rate rings that the uplinks of each carry; infinite where it has none.
    host_leaf, host_pod
        ``(num_hosts,)`` the place of each host.
    """

    capacity: Float64s
    host_leaf: Int64s
    host_pod: Int64s

    @staticmethod
    def of(fabric: Fabric) -> Uplinks:
        """Return the uplinks of a fabric."""
        leaves, pods = fabric.num_leaf_groups, fabric.num_pods
        capacity = np.full(leaves + pods, np.inf)
        num_nics = fabric.num_nics
        if num_nics:
            nic_rate = _nic_rate(fabric)
            switch = fabric.node_kind == NodeKind.SWITCH
            goes_up = (fabric.link_kind == LinkKind.SCALE_OUT) & switch[fabric.link_source]
            goes_up &= fabric.node_tier[fabric.link_target] > fabric.node_tier[fabric.link_source]
            up = np.bincount(
                fabric.link_source[goes_up],
                weights=fabric.link_capacity_bytes_per_s[goes_up],
                minlength=fabric.num_nodes,
            )
            group = np.full(num_nics, -1, np.int64)
            has_leaf = fabric.nic_leaf >= 0
            group[has_leaf] = fabric.host_leaf_group[fabric.nic_host[has_leaf]]
            pairs = np.unique(np.stack([group[has_leaf], fabric.nic_leaf[has_leaf]], axis=1), axis=0)
            _fill(
                capacity[:leaves],
                pairs[:, 0],
                np.asarray(up[pairs[:, 1]], np.float64),
                nic_rate,
                fabric.host_leaf_group,
            )
            if pods > 1:
                pod_of = _spine_pod(fabric)
                tops = np.flatnonzero((pod_of >= 0) & (up > 0))
                _fill(capacity[leaves:], pod_of[tops], np.asarray(up[tops], np.float64), nic_rate, fabric.host_pod)
        return Uplinks(capacity, fabric.host_leaf_group.astype(np.int64), fabric.host_pod.astype(np.int64) + leaves)


def _spine_pod(fabric: Fabric) -> Int64s:
    """Return the pod of each spine that serves only one, ``(num_nodes,)``; −1 for all other nodes."""
    low, high = np.full(fabric.num_nodes, fabric.num_pods), np.full(fabric.num_nodes, -1)
    has_leaf = fabric.nic_leaf >= 0
    leaf, pod = fabric.nic_leaf[has_leaf], fabric.host_pod[fabric.nic_host[has_leaf]]
    np.minimum.at(low, leaf, pod)
    np.maximum.at(high, leaf, pod)
    below, above = fabric.link_source, fabric.link_target
    goes_up = (high[below] >= 0) & (fabric.node_tier[above] == 2) & (fabric.link_kind == LinkKind.SCALE_OUT)
    np.minimum.at(low, above[goes_up], low[below[goes_up]])
    np.maximum.at(high, above[goes_up], high[below[goes_up]])
    return np.where((fabric.node_tier == 2) & (low == high), high, -1).astype(np.int64)


def _nic_rate(fabric: Fabric) -> Float64s:
    """Return the rate of all NICs of each host, ``(num_hosts,)``."""
    first, num = fabric.num_accelerators, fabric.num_nics
    leaves_nic = (fabric.link_kind == LinkKind.SCALE_OUT) & (fabric.link_source >= first)
    leaves_nic &= fabric.link_source < first + num
    rate = np.bincount(
        fabric.nic_host[fabric.link_source[leaves_nic] - first],
        weights=fabric.link_capacity_bytes_per_s[leaves_nic],
        minlength=fabric.num_hosts,
    )
    return rate.astype(np.float64)


def _fill(
    capacity: Float64s, place: Int64s, up: Float64s, nic_rate: Float64s, host_place: npt.NDArray[np.integer]
) -> None:
    """Write how many full-rate rings the uplinks of each place carry, in place."""
    room = np.bincount(place, weights=up, minlength=len(capacity))[: len(capacity)]
    rate = np.zeros(len(capacity))
    np.maximum.at(rate, host_place, nic_rate)
    carries = (room > 0) & (rate > 0)
    capacity[carries] = room[carries] / rate[carries]


def multiplicities(uplinks: Uplinks, job: Job, hosts: npt.NDArray[np.integer]) -> Float64s:
    """Return what a job on some hosts puts on each place's uplinks, in full-rate rings, ``(num_places,)``."""
    load = np.zeros(len(uplinks.capacity))
    hosts = np.unique(hosts)
    if job.traffic is None or job.traffic.size_bytes == 0 or len(hosts) < 2:
        return load
    for place in (uplinks.host_leaf[hosts], uplinks.host_pod[hosts]):
        places, inside = np.unique(place, return_counts=True)
        if len(places) > 1:
            if job.traffic.collective == "all-to-all":
                load[places] = inside * (len(hosts) - inside) / (len(hosts) - 1)
            else:
                load[places] = 1.0
    return load


class Loads:
    """Loads of all placed jobs, kept up to date while some are placed anew.

    Parameters
    ----------
    problem, placement
        What is placed.
    """

    def __init__(self, problem: Problem, placement: Placement) -> None:
        self.problem = problem
        self.uplinks = Uplinks.of(problem.live_fabric)
        self._host = problem.fabric.accelerator_host
        self.of_job = np.zeros((len(problem.jobs), len(self.uplinks.capacity)))
        for job_id, ranks in placement.ranks.items():
            self.put(job_id, ranks)

    def put(self, job_id: str, ranks: Int64s | None) -> None:
        """Say where a job is; None: nowhere."""
        idx = self.problem.job_idx[job_id]
        if ranks is None:
            self.of_job[idx] = 0.0
        else:
            self.of_job[idx] = multiplicities(self.uplinks, self.problem.jobs[idx], self._host[ranks])

    @property
    def total(self) -> Float64s:
        """Load of each place over what its uplinks carry, ``(num_places,)``."""
        load: Float64s = self.of_job.sum(axis=0) / self.uplinks.capacity
        return load

    def slowdown(self) -> Float64s:
        """Return the slow-down of each job in the linear form, ``(num_jobs,)``."""
        own = self.of_job / self.uplinks.capacity
        alone = np.maximum(own.max(axis=1, initial=0.0), 1.0)
        beside = np.where(own > 0, own.sum(axis=0), 0.0).max(axis=1, initial=0.0)
        slow: Float64s = np.maximum(beside, 1.0) / alone
        return np.maximum(slow, 1.0)
