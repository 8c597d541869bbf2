"""Observe: what would have been planned for the jobs that Slurm started, and what that would have saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from planner.slurm.asks import AskMaker, Unplannable
from planner.slurm.commands import SlurmCommands
from planner.slurm.journal import Decision
from planner.slurm.leaf_fit import fit
from planner.slurm.load import leaf_loads
from planner.slurm.read_jobs import read_details
from planner.slurm.records import JobDetail, QueuedJob
from planner.slurm.room import Ask, Ints, Room, build_room
from planner.slurm.settings import SlurmSettings
from planner.slurm.snapshot import Snapshot
from planner.slurm.updates import MAX_MARK_CHARS, merge_mark, send_updates, update_line
from topologies.hostlist import compress_hosts

__all__ = ["Observer"]

WOULD = "scaleplan:would="


class Observer:
    """Watches jobs start.

    Parameters
    ----------
    settings
        Ours.
    commands
        The way to Slurm, for the admin comments.
    """

    def __init__(self, settings: SlurmSettings, commands: SlurmCommands) -> None:
        self._settings, self._commands = settings, commands
        self._seen: set[int] | None = None
        self._marks: list[str] = []

    def look(self, snapshot: Snapshot) -> list[Decision]:
        """Plan the jobs that started since the last look, on the room there was before they did."""
        running = [job for job in snapshot.jobs if job.is_running and job.nodes]
        before, self._seen = self._seen, {job.job_id for job in running}
        if before is None:
            return []
        new = [job for job in running if job.job_id not in before and len(job.nodes) >= self._settings.min_nodes]
        if not new:
            return []
        details = read_details(self._commands, [job.job_id for job in new])
        room = build_room(snapshot.nodes, snapshot.topology)
        maker = AskMaker(
            room,
            snapshot.partitions,
            snapshot.reservations,
            snapshot.config,
            self._settings,
            snapshot.now_s,
            snapshot.partition_kinds,
        )
        asks: list[tuple[Ask, QueuedJob, JobDetail, Ints]] = []
        for job in new:
            detail = details.get(job.job_id, JobDetail())
            ask = maker.make(job, detail)
            taken = maker.taken_by(job, detail)
            if not isinstance(ask, Unplannable) and len(taken.hosts) == len(job.nodes):
                asks.append((ask, job, detail, taken.hosts))
                room = _give_back(room, ask, taken.hosts)
        return self._compare(sorted(asks, key=lambda one: -one[0].priority), room, snapshot.now_s)

    def _compare(
        self, asks: Sequence[tuple[Ask, QueuedJob, JobDetail, Ints]], room: Room, now_s: float
    ) -> list[Decision]:
        decisions = []
        for ask, job, detail, actual in asks:
            planned = fit(ask, room)
            if planned is None:
                planned = actual
            room = room.take([ask.taken(planned, now_s)])
            hosts = tuple(room.hosts[i] for i in planned)
            figures = {
                "leaves": len(np.unique(room.leaf[planned])),
                "leaves_slurm": len(np.unique(room.leaf[actual])),
                "uplinks": int(leaf_loads(room, [planned]).sum()),
                "uplinks_slurm": int(leaf_loads(room, [actual]).sum()),
            }
            reason = f"{figures['leaves']} leaf switches or blocks instead of {figures['leaves_slurm']}"
            decisions.append(Decision(now_s, job.ref, int(job.submit_s), "would", hosts, reason, figures))
            mark = merge_mark(detail.admin_comment, f"{WOULD}{compress_hosts(hosts)}"[:MAX_MARK_CHARS])
            if mark is not None:
                self._marks.append(update_line(job.ref, mark=mark))
        return decisions

    def mark(self) -> None:
        """Write the admin comments of what was looked at."""
        lines, self._marks = self._marks, []
        send_updates(self._commands, lines)


def _give_back(room: Room, ask: Ask, hosts: Ints) -> Room:
    gpus, cpus, memory = room.gpus_free.copy(), room.cpus_free.copy(), room.memory_free_mib.copy()
    idle = room.is_idle.copy()
    gpus[hosts] = room.gpus[hosts] if ask.whole_nodes else np.minimum(gpus[hosts] + ask.gpus, room.gpus[hosts])
    cpus[hosts] += ask.cpus
    memory[hosts] += ask.memory_mib
    idle[hosts] = True
    return replace(room, gpus_free=gpus, cpus_free=cpus, memory_free_mib=memory, is_idle=idle & room.is_up)
