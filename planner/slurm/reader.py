"""Takes the snapshots: nodes first, then the queue, then what is new; slow-moving things less often."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from planner.slurm.asks import needs_of
from planner.slurm.commands import CommandError, SlurmCommands
from planner.slurm.history import read_ends
from planner.slurm.read_jobs import read_details, read_queue, read_queue_and_ends
from planner.slurm.read_site import read_config, read_nodes, read_partitions, read_reservations
from planner.slurm.read_topology import read_partition_kinds, read_topology
from planner.slurm.records import (
    JobDetail,
    NodeRecord,
    PartitionRecord,
    QueuedJob,
    ReservationRecord,
    SiteConfig,
    SlurmTopology,
)
from planner.slurm.snapshot import Snapshot

__all__ = ["SnapshotReader", "with_starts"]

CONFIG_EVERY_S = 60.0
PARTITIONS_EVERY_S = 10.0
RESERVATIONS_EVERY_S = 5.0
REFUSALS_EVERY_S = 0.5
_CHANGED_UNSEEN = ("ReqNodeNotAvail", "BadConstraints", "PartitionNodeLimit")
_CLOCK_SLACK_S = 5.0  # slurmctld's clock may be another machine's, and it tells whole seconds


def with_starts(nodes: Sequence[NodeRecord], jobs: Sequence[QueuedJob], *, since_s: float) -> tuple[NodeRecord, ...]:
    """Count on the nodes what jobs took that started between the reading of the nodes and that of the queue.

    Without it such a job's nodes would look free while it is no longer among those that wait for them.

    Parameters
    ----------
    since_s
        Before the nodes were read (seconds since the epoch).
    """
    running = [job for job in jobs if job.is_running]
    touched = {host for job in running if (job.start_s or 0.0) >= since_s for host in job.nodes}
    if not touched:
        return tuple(nodes)
    used = dict.fromkeys(touched, (0, 0, 0))
    for job in running:
        cpus, memory_mib, gpus = needs_of(job)
        for host in touched.intersection(job.nodes):
            used[host] = (used[host][0] + cpus, used[host][1] + memory_mib, used[host][2] + gpus)
    return tuple(_at_least(node, *used[node.name]) if node.name in used else node for node in nodes)


def _at_least(node: NodeRecord, cpus: int, memory_mib: int, gpus: int) -> NodeRecord:
    return replace(
        node,
        state="MIXED" if node.state == "IDLE" else node.state,
        cpus_used=max(node.cpus_used, min(cpus, node.cpus), 1),
        memory_used_mib=max(node.memory_used_mib, memory_mib),
        gpus_used=max(node.gpus_used, min(gpus, node.gpus)),
    )


class SnapshotReader:
    """Reads Slurm's state again and again.

    Parameters
    ----------
    commands
        The way to Slurm.
    all_details
        Whether to read the details of running jobs too.
    """

    def __init__(self, commands: SlurmCommands, *, all_details: bool = False) -> None:
        self._commands, self._all_details = commands, all_details
        self._details: dict[int, tuple[float, JobDetail]] = {}
        self._config, self._topology = SiteConfig(), SlurmTopology("flat")
        self._partitions: tuple[PartitionRecord, ...] = ()
        self._reservations: tuple[ReservationRecord, ...] = ()
        self._kinds: dict[str, str] = {}
        self._read_at: dict[str, float] = {}
        self._is_first = True

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now - self._read_at.get(what, float("-inf")) < every_s:
            return False
        self._read_at[what] = now
        return True

    def _read_again(self, before_s: float) -> None:
        """Read what changes seldom once more: Slurm refuses nodes for a reason that may be new."""
        if self._read_at["reservations"] < before_s:
            self._read_at["reservations"] = time.monotonic()
            self._partitions = read_partitions(self._commands)
            self._reservations = read_reservations(self._commands)

    def forget(self) -> None:
        """Read everything anew next time, as after a restart of slurmctld."""
        self._read_at.clear()

    def read(self, tracked: Collection[str] = ()) -> Snapshot:
        """Take a snapshot.

        Parameters
        ----------
        tracked
            Numbers of jobs whose end is of interest.

        Raises
        ------
        CommandError
            If Slurm does not answer.
        """
        began = time.monotonic()
        try:
            if self._is_due("config", CONFIG_EVERY_S):
                self._config = read_config(self._commands)
                self._topology = read_topology(self._commands)
            if self._is_due("partitions", PARTITIONS_EVERY_S):
                self._partitions = read_partitions(self._commands)
                self._kinds = read_partition_kinds(self._commands, self._partitions)
            if self._is_due("reservations", RESERVATIONS_EVERY_S):
                self._reservations = read_reservations(self._commands)
            nodes = read_nodes(self._commands)
            known_s = time.monotonic()
            jobs, ended = read_queue_and_ends(self._commands, tracked) if tracked else (read_queue(self._commands), {})
            if any(job.is_pending and job.reason.startswith(_CHANGED_UNSEEN) for job in jobs):
                self._read_again(known_s - REFUSALS_EVERY_S)
        except Exception:
            self.forget()
            raise
        ended |= self._ended_before(tracked, jobs, ended)
        self._learn(jobs)
        now_s = time.time()
        nodes = with_starts(nodes, jobs, since_s=now_s - (time.monotonic() - began) - _CLOCK_SLACK_S)
        return Snapshot(
            now_s=now_s,
            jobs=jobs,
            details={job_id: detail for job_id, (_, detail) in self._details.items()},
            nodes=nodes,
            partitions=self._partitions,
            reservations=self._reservations,
            config=self._config,
            topology=self._topology,
            read_s=time.monotonic() - began,
            ended=ended,
            partition_kinds=self._kinds,
        )

    def _ended_before(
        self, tracked: Collection[str], jobs: Sequence[QueuedJob], ended: Mapping[str, QueuedJob]
    ) -> dict[str, QueuedJob]:
        """At the first look, ask the accounting for jobs of the journal that ended while nobody looked."""
        if not self._is_first:
            return {}
        self._is_first = False
        known = {job.tracked_ref for job in jobs} | ended.keys()
        missing = sorted(ref for ref in tracked if ref not in known)
        if not missing or not self._config.get("AccountingStorageType").endswith("slurmdbd"):
            return {}
        try:
            return read_ends(self._commands, missing)
        except CommandError:
            return {}  # the journal then says that Slurm no longer tells

    def _learn(self, jobs: tuple[QueuedJob, ...]) -> None:
        """Read the details of jobs not seen before, and forget those that are gone."""
        known = {job.job_id: job.submit_s for job in jobs}
        self._details = {i: kept for i, kept in self._details.items() if known.get(i) == kept[0]}
        new = {
            j.job_id: j.submit_s for j in jobs if j.job_id not in self._details and (j.is_pending or self._all_details)
        }
        for job_id, detail in read_details(self._commands, new).items():
            self._details[job_id] = (new[job_id], detail)
