"""What the daemon did and why, in words, from the journal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from planner.slurm.journal import Decision, TrackedJob
from topologies.hostlist import compress_hosts

__all__ = ["job_story", "state_in_words"]

_ACTIONS = {
    "pin": "was given {hosts}: {reason}",
    "prefer": "was asked for softly on {hosts}: {reason}",
    "pinned": "is pinned to {hosts}: {reason}",
    "ran": "ran on {hosts}, {reason}",
    "ended": "ended: {reason}",
    "gone": "left the queue: {reason}",
    "split": "{reason}",
    "waits": "waits: {reason}",
    "repair": "was planned again: {reason}",
    "requeued": "was put back into the queue by Slurm",
    "parked again": "was parked again: {reason}",
    "released": "was handed to Slurm: {reason}",
    "left": "was left to Slurm: {reason}",
    "adopted": "was found pinned to {hosts}",
    "would": "would have been given {hosts}: {reason}",
}
_STATES = {
    "parked": "parked, waiting for a plan",
    "pinning": "being pinned",
    "pinned": "pinned, waiting for Slurm to start it",
    "preferred": "asked for softly, waiting for Slurm to start it",
    "releasing": "being handed to Slurm",
    "running": "running",
    "released": "Slurm's own, only watched",
    "done": "done",
}


def state_in_words(job: TrackedJob) -> str:
    """Return a job's state for people."""
    return _STATES.get(job.state, job.state)


def job_story(ref: str, job: TrackedJob | None, decisions: Sequence[Decision]) -> list[str]:
    """Return one line a decision, oldest first, and the state now."""
    if job is None and not decisions:
        return [
            f"job {ref} is not in the journal: it was never parked (one node, a range of nodes, a node list, begin "
            "time, dependency or reservation of its own, a heterogeneous job, or the planner was not running)"
        ]
    lines = []
    for decision in decisions:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(decision.at_s))
        words = _ACTIONS.get(decision.action, f"{decision.action}: {{reason}}")
        hosts = compress_hosts(decision.hosts) or "no hosts"
        lines.append(f"{when}  {words.format(hosts=hosts, reason=decision.reason)}")
        if unread := (decision.figures or {}).get("unread_words"):
            lines.append(f"{when}  {unread} words of its comment after scaleplan: were not understood")
    if job is not None:
        tries = f", {job.tries} plans in vain" if job.tries else ""
        lines.append(f"now: {state_in_words(job)}{tries}")
    return lines
