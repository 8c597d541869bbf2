"""``scaleplan slurm plan``: one cycle on the jobs that wait now, as if all were parked; nothing is written or told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.slurm.commands import SlurmCommands
from planner.slurm.cycle import CyclePlanner
from planner.slurm.lifecycle import is_parked
from planner.slurm.reader import SnapshotReader
from planner.slurm.service import load_site_fabric, make_planner
from planner.slurm.settings import SlurmSettings
from planner.slurm.updates import PARKED
from topologies.hostlist import compress_hosts

__all__ = ["preview"]

_WAITS = ("Resources", "Priority", "None", "BeginTime")


def preview(settings: SlurmSettings, commands: SlurmCommands) -> list[dict[str, Any]]:
    """Return a row a waiting job: where it would be put, or why it would not.

    Raises
    ------
    ScaleplanError
        If Slurm does not answer, or the fabric or solver cannot be used.
    """
    snapshot = SnapshotReader(commands).read()
    jobs, details = [], dict(snapshot.details)
    for job in snapshot.jobs:
        detail = details.get(job.job_id)
        ours = detail is not None and PARKED in detail.admin_comment and is_parked(job, snapshot.now_s)
        waits = job.is_pending and job.reason in _WAITS and not job.req_nodes and not is_parked(job, snapshot.now_s)
        if detail is not None and (ours or waits):
            jobs.append(replace(job, reason="BeginTime", start_s=snapshot.now_s + settings.park_s))
            details[job.job_id] = replace(detail, admin_comment=PARKED)
        else:
            jobs.append(job)
    pinning = settings.model_copy(update={"mode": "pin"})
    planner = CyclePlanner(pinning, make_planner(settings), fabric=load_site_fabric(settings))
    outcome = planner.run(replace(snapshot, jobs=jobs, details=details), {})
    leaf_of = snapshot.topology.leaf_by_host()
    reasons = {d.ref: d.reason for d in outcome.decisions if d.action in ("waits", "released", "left")}
    rows = []
    for ref, (job, hosts) in outcome.placed.items():
        leaves = len({leaf_of.get(host, "") for host in hosts})
        rows.append(
            {"job": ref, "nodes": job.num_nodes, "leaves": leaves, "hosts": compress_hosts(hosts), "reason": ""}
        )
    by_ref = {job.tracked_ref: job for job in jobs}
    for ref, reason in reasons.items():
        nodes = by_ref[ref].num_nodes if ref in by_ref else 0
        rows.append({"job": ref, "nodes": nodes, "leaves": 0, "hosts": "", "reason": reason})
    return rows
