"""What the explorer of a page needs to know: the fabric and its placements, packed small.

Numbers travel as base64 of little-endian arrays, so that 131,072 accelerators are a few megabytes; the page draws them
by aggregation, one level at a time (pod, leaf group, host, accelerator), and never all at once.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.congestion.report import CongestionReport
from planner.problem import Problem
from planner.report import Judged
from planner.result import Result
from topologies.fabric import Fabric, Float64s, Int64s, LinkKind, NodeKind
from topologies.units import to_gbps

__all__ = ["explorer_json"]

_MOST_LINKS_WITH_JOBS = 3000
_MOST_JOBS_A_LINK = 12
_MOST_NAME = 10_000
_DEMAND_SCALE = 1000
"""Demand over capacity travels in thousandths."""


def explorer_json(
    fabric: Fabric, problem: Problem | None = None, results: Sequence[Result | Judged] = (), *, most_results: int = 3
) -> str:
    """Return the explorer's data as JSON, without results the bare fabric.

    Parameters
    ----------
    most_results
        How many results travel along, the first ones.
    """
    cables = _cables(fabric)
    data: dict[str, Any] = {
        "name": fabric.name,
        **_structure(fabric, cables),
        "jobs": [],
        "views": [],
    }
    if problem is not None:
        data["state"] = _pack(problem.state.availability, np.uint8)
        data["jobs"] = [
            [job.id[:_MOST_NAME], job.accelerators, job.tenant[:_MOST_NAME], job.priority] for job in problem.jobs
        ]
        data["views"] = [_view(problem, result, cables) for result in results[:most_results]]
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _cables(fabric: Fabric) -> Int64s:
    """Return the even direction of each scale-out cable, ``(C,)``."""
    return np.flatnonzero(fabric.link_kind[::2] == LinkKind.SCALE_OUT) * 2


def _structure(fabric: Fabric, cables: Int64s) -> dict[str, Any]:
    """Return hosts, switches and cables; a cable's ends are hosts first, then scale-out switches."""
    hosts = fabric.num_hosts
    switches = np.flatnonzero(fabric.node_kind == NodeKind.SWITCH)
    unit = np.full(fabric.num_nodes, -1, np.int64)
    unit[: fabric.num_accelerators] = fabric.accelerator_host
    unit[fabric.num_accelerators : fabric.num_accelerators + fabric.num_nics] = fabric.nic_host
    unit[switches] = hosts + np.arange(len(switches))
    source, target = fabric.link_source[cables], fabric.link_target[cables]
    nic = np.where(fabric.node_kind[source] == NodeKind.NIC, source, target) - fabric.num_accelerators
    on_nic = (nic >= 0) & (nic < fabric.num_nics)
    first_nic = np.searchsorted(fabric.nic_host, np.arange(hosts)) if fabric.num_nics else np.zeros(hosts, np.int64)
    port = np.where(on_nic, nic - first_nic[fabric.nic_host[np.where(on_nic, nic, 0)]] if fabric.num_nics else 0, -1)
    rates, rate = np.unique(fabric.link_capacity_bytes_per_s[cables], return_inverse=True)
    accelerator_port = np.where(
        fabric.accelerator_nic >= 0,
        fabric.accelerator_nic - fabric.num_accelerators - first_nic[fabric.accelerator_host],
        -1,
    )
    parts = [[part.id, part.description] for part in fabric.parts]
    return {
        "hosts": list(fabric.host_names),
        "hostStart": _pack(fabric.host_accelerator_start, np.int32),
        "hostPod": _pack(fabric.host_pod, np.int32),
        "hostGroup": _pack(fabric.host_leaf_group, np.int32),
        "hostDomain": _pack(fabric.host_domain, np.int32),
        "switches": [fabric.node_names[s] for s in switches.tolist()],
        "switchTier": _pack(fabric.node_tier[switches], np.uint8),
        "switchPart": _pack(fabric.node_part[switches], np.int16),
        "parts": parts,
        "hostPart": _pack(fabric.host_part, np.int16),
        "cableA": _pack(unit[source], np.int32),
        "cableB": _pack(unit[target], np.int32),
        "cablePort": _pack(port, np.int8),
        "cableRate": _pack(rate.ravel(), np.uint8),
        "rates": [round(to_gbps(float(r)), 3) for r in rates],
        "gpuPort": _pack(accelerator_port, np.int8),
        "gpuUp": round(to_gbps(float(fabric.accelerator_scale_up_bytes_per_s.max(initial=0.0))), 1),
    }


def _view(problem: Problem, result: Result | Judged, cables: Int64s) -> dict[str, Any]:
    """Return one result: who is on each accelerator, demand of each cable, slow-downs, jobs on the hottest cables."""
    fabric, report = problem.fabric, result.score.congestion
    placed = [i for i, job in enumerate(problem.jobs) if job.id in result.placement]
    owner = np.zeros(fabric.num_accelerators, np.int32)
    for i in placed:
        owner[result.placement.ranks[problem.jobs[i].id]] = i + 1
    demand = np.maximum(report.link_demand_frac[cables], report.link_demand_frac[cables + 1])
    slowdown = np.zeros(len(problem.jobs))
    slowdown[placed] = report.slowdown()
    return {
        "solver": result.solver,
        "job": _pack(owner, np.uint16 if len(problem.jobs) < 2**16 else np.int32),
        "wide": len(problem.jobs) >= 2**16,
        "demand": _pack(_thousandths(demand), np.uint16),
        "up": _pack(_thousandths(_scale_up_demand(fabric, report)), np.uint16),
        "slow": [round(float(s), 4) for s in slowdown],
        "cableJobs": _cable_jobs(report, demand, cables, np.array(placed, np.int64)),
    }


def _thousandths(value: Float64s) -> npt.NDArray[np.uint16]:
    return np.minimum(np.ceil(value * _DEMAND_SCALE - 1e-6), 65535).astype(np.uint16)


def _scale_up_demand(fabric: Fabric, report: CongestionReport) -> Float64s:
    """Return the largest demand on any scale-up link at each accelerator, ``(A,)``."""
    out = np.zeros(fabric.num_accelerators)
    links = np.flatnonzero((fabric.link_kind == LinkKind.SCALE_UP) & (report.link_demand_frac > 0))
    for ends in (fabric.link_source[links], fabric.link_target[links]):
        here = ends < fabric.num_accelerators
        np.maximum.at(out, ends[here], report.link_demand_frac[links[here]])
    return out


def _cable_jobs(report: CongestionReport, demand: Float64s, cables: Int64s, job_of: Int64s) -> list[list[Any]]:
    """Return ``[cable, jobs on it, their numbers]`` of the cables with most demand; few numbers stand for many jobs."""
    loaded = np.flatnonzero(demand > 0)
    hottest = loaded[np.argsort(-demand[loaded], kind="stable")][:_MOST_LINKS_WITH_JOBS]
    both = report.jobs_by_link(np.concatenate([cables[hottest], cables[hottest] + 1]))
    told = []
    for k, cable in enumerate(hottest.tolist()):
        jobs = job_of[np.union1d(both[k], both[k + len(hottest)])] + 1
        told.append([cable, len(jobs), jobs[:_MOST_JOBS_A_LINK].tolist()])
    return told


def _pack(values: npt.NDArray[Any], dtype: type[np.generic]) -> str:
    """Return base64 of a little-endian array."""
    little = np.dtype(dtype).newbyteorder("<")
    return base64.b64encode(np.ascontiguousarray(values, little).tobytes()).decode("ascii")
