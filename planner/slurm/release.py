"""``scaleplan slurm release``: take every pin and every parking off, without the daemon; also run when it stops."""

from __future__ import annotations

import time
from collections.abc import Sequence

from planner.slurm.commands import SlurmCommands
from planner.slurm.lifecycle import is_parked
from planner.slurm.read_jobs import read_details, read_queue
from planner.slurm.read_site import read_nodes
from planner.slurm.updates import PARKED, PINNED, RELEASED, merge_mark, send_updates, update_line

__all__ = ["release_jobs"]


def release_jobs(commands: SlurmCommands, *, everything: bool, dry_run: bool = False) -> list[str]:
    """Hand jobs to Slurm; return their numbers.

    Parameters
    ----------
    everything
        Parked jobs and all pins; else only pins to nodes that take no jobs, which would keep a job from ever starting.

    Raises
    ------
    CommandError
        If Slurm does not answer.
    """
    jobs = [job for job in read_queue(commands) if job.is_pending]
    details = read_details(commands, [job.job_id for job in jobs])
    up = {node.name for node in read_nodes(commands) if node.is_up}
    now_s = time.time()
    lines: dict[str, str] = {}
    for job in jobs:
        mark = details[job.job_id].admin_comment if job.job_id in details else ""
        pinned = PINNED in mark and job.req_nodes and (everything or not set(job.req_nodes) <= up)
        parked = everything and PARKED in mark and is_parked(job, now_s)
        if pinned or parked:
            lines[job.ref] = update_line(job.ref, hosts=[], mark=merge_mark(mark, RELEASED), start_in_s=0)
    if not dry_run:
        send_updates(commands, lines.values())
    return _refs(list(lines))


def _refs(refs: Sequence[str]) -> list[str]:
    return sorted(refs, key=lambda ref: (int(ref.split("_")[0]), ref))
