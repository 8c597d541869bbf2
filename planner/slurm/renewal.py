"""Keeps parked jobs parked while the planner lives: their begin times are moved on before they run out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from planner.slurm.journal import TrackedJob
from planner.slurm.lifecycle import is_parked
from planner.slurm.settings import SlurmSettings
from planner.slurm.snapshot import Snapshot
from planner.slurm.updates import update_line

__all__ = ["MAX_RENEWALS_A_CYCLE", "renew"]

MAX_RENEWALS_A_CYCLE = 300  # 2.4 ms each through scontrol's standard input: at most 0.7 s of a cycle
_MAX_REF_CHARS = 4000


def renew(
    snapshot: Snapshot, live: Mapping[str, TrackedJob], settings: SlurmSettings, *, ahead_s: float
) -> tuple[list[str], Snapshot]:
    """Renew before planning, so that no park runs out between the plan and the pin.

    Parameters
    ----------
    live
        Jobs of the journal that are not done, by number.
    ahead_s
        How long it may take until the next look: a job with less than that left is renewed, and every one that has
        less than half of `park_s` left; those with least left come first.

    Returns
    -------
    tuple
        Lines for ``scontrol``, and the snapshot as it is once they are carried out.
    """
    if settings.mode == "observe":
        return [], snapshot
    short_s = min(max(settings.park_s / 2, ahead_s), 0.9 * settings.park_s)
    due: list[tuple[float, str]] = []
    for job in snapshot.jobs:
        tracked = live.get(job.tracked_ref)
        if tracked is None or tracked.state != "parked" or not is_parked(job, snapshot.now_s):
            continue
        left_s = (job.start_s or snapshot.now_s) - snapshot.now_s
        if left_s < short_s and snapshot.now_s - tracked.since_s <= settings.max_parked_s:
            due.append((left_s, job.ref))
    chosen = {ref for _, ref in sorted(due)[:MAX_RENEWALS_A_CYCLE] if len(ref) < _MAX_REF_CHARS}
    begin_s = snapshot.now_s + settings.park_s
    jobs = [replace(job, start_s=begin_s) if job.ref in chosen else job for job in snapshot.jobs]
    return [update_line(ref, start_in_s=settings.park_s) for _, ref in sorted(due) if ref in chosen], replace(
        snapshot, jobs=jobs
    )
