"""What planning saved, or would have saved: figures from the journal."""

from __future__ import annotations

import time
from typing import Any

from planner.slurm.journal import Decision, Journal

__all__ = ["observed", "summary"]

_MAX_DECISIONS = 1_000_000


def summary(journal: Journal, *, days: float = 1.0) -> dict[str, Any]:
    """Return counts of the last days: of observed jobs beside Slurm's own choice, and of planned ones."""
    decisions = journal.decisions(since_s=time.time() - days * 86400, limit=_MAX_DECISIONS)
    would = [decision.figures or {} for decision in decisions if decision.action == "would"]
    ran = [decision for decision in decisions if decision.action == "ran" and decision.reason.startswith("on ")]

    def total(key: str) -> int:
        return sum(int(one.get(key, 0)) for one in would)

    return {
        "jobs observed": len(would),
        "of them on fewer leaf switches if planned": sum(
            int(one.get("leaves", 0)) < int(one.get("leaves_slurm", 0)) for one in would
        ),
        "leaf switches touched, planned": total("leaves"),
        "leaf switches touched, Slurm": total("leaves_slurm"),
        "ring edges that leave a leaf, planned": total("uplinks"),
        "ring edges that leave a leaf, Slurm": total("uplinks_slurm"),
        "jobs pinned": sum(decision.action == "pinned" for decision in decisions),
        "ran on the planned hosts": sum(decision.reason == "on the planned hosts" for decision in ran),
        "planned again": sum(decision.action == "repair" for decision in decisions),
        "handed to Slurm": sum(decision.action == "released" for decision in decisions),
    }


def observed(journal: Journal, *, days: float = 1.0) -> list[Decision]:
    """Return what would have been decided in the last days for the jobs that Slurm started, oldest first."""
    since_s = time.time() - days * 86400
    return [one for one in journal.decisions(since_s=since_s, limit=_MAX_DECISIONS) if one.action == "would"]
