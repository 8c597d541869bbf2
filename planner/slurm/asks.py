"""From Slurm's records to what a plan works on: which jobs can be planned, and what each asks of a host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.slurm.intent import Intent, parse_intent
from planner.slurm.records import JobDetail, PartitionRecord, QueuedJob, ReservationRecord, SiteConfig
from planner.slurm.room import Ask, Bools, Room, Taken
from planner.slurm.settings import SlurmSettings

__all__ = ["AskMaker", "Unplannable", "needs_of"]

_SIMPLE_FEATURES = re.compile(r"[A-Za-z0-9._-]+(?:&[A-Za-z0-9._-]+)*\Z", re.ASCII)
_NEVER_ENDS_S = float("inf")


@dataclass(frozen=True)
class Unplannable:
    """Why a job is left to Slurm."""

    reason: str


def needs_of(job: QueuedJob) -> tuple[int, int, int]:
    """Return CPUs, memory (MiB) and GPUs that a job needs on each node."""
    nodes = max(1, job.num_nodes)
    cpus = max(job.min_cpus_per_node, -(-job.num_cpus // nodes))
    memory_mib = job.memory_mib * cpus if job.memory_is_per_cpu else job.memory_mib
    return cpus, memory_mib, job.gpus_per_node


class AskMaker:
    """Makes asks for one moment.

    Parameters
    ----------
    room
        Hosts and what is free.
    partitions, reservations, config
        As Slurm says.
    settings
        Ours.
    now_s
        Seconds since the epoch.
    kinds
        Kind of topology of each partition that has one of its own, by its name.
    """

    def __init__(
        self,
        room: Room,
        partitions: Sequence[PartitionRecord],
        reservations: Sequence[ReservationRecord],
        config: SiteConfig,
        settings: SlurmSettings,
        now_s: float,
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        self._kinds = dict(kinds or {})
        self._room, self._config, self._settings, self._now_s = room, config, settings, now_s
        self._index = room.index()
        self._partitions = {partition.name: partition for partition in partitions}
        self._reservations = [
            (self._mask(reservation.nodes), reservation) for reservation in reservations if reservation.end_s > now_s
        ]
        self._partition_masks = {p.name: self._mask(p.nodes) for p in partitions}
        self._defaults = {name: value.model_dump() for name, value in settings.defaults.items()}
        self._memory_counts = "MEMORY" in config.get("SelectTypeParameters").upper()
        self._whole_nodes = config.get("SelectType").endswith("linear")
        self._old_sharing = config.version < (25, 5)

    def _mask(self, hosts: Sequence[str]) -> Bools:
        mask = np.zeros(len(self._room.hosts), np.bool_)
        mask[[self._index[host] for host in hosts if host in self._index]] = True
        return mask

    def _is_exclusive(self, job: QueuedJob, detail: JobDetail) -> bool:
        if detail.exclusive is not None:
            return detail.exclusive or self._whole_nodes
        # Up to 24.11 squeue's "NO" stands for --exclusive; later it is the default and Exclusive= tells.
        return (self._old_sharing and job.oversubscribe == "NO") or self._whole_nodes

    def make(self, job: QueuedJob, detail: JobDetail, *, passes: int = 0) -> Ask | Unplannable:
        """Return what a pending job asks for, or why it is not planned."""
        partition = next((self._partitions[n] for n in job.partitions if n in self._partitions), None)
        if partition is None:
            return Unplannable("its partition is not known")
        if self._settings.partitions and partition.name not in self._settings.partitions:
            return Unplannable(f"partition {partition.name} is not planned here")
        intent = parse_intent(detail.comment, defaults=self._defaults.get(partition.name))
        reason = self._left_alone(job, detail, intent)
        if not reason and not self._room.block_sizes and self._kinds.get(partition.name) == "block":
            reason = f"partition {partition.name} has a topology/block of its own, beside the one that is planned on"
        return Unplannable(reason) if reason else self._ask(job, detail, partition, intent, passes, is_ours=True)

    def make_foreign(self, job: QueuedJob, detail: JobDetail) -> Ask | None:
        """Return what a job asks for that Slurm itself will start, to keep it from being delayed."""
        partition = next((self._partitions[n] for n in job.partitions if n in self._partitions), None)
        if partition is None or job.is_het or job.dependency or job.reservation:
            return None
        return self._ask(job, detail, partition, Intent(), 0, is_ours=False)

    def _left_alone(self, job: QueuedJob, detail: JobDetail, intent: Intent) -> str:
        if intent.off:
            return "its comment asks to be left alone"
        if job.is_het:
            return "heterogeneous jobs are left to Slurm"
        if job.dependency:
            return "it has a dependency"
        if job.reservation:
            return "it runs in a reservation"
        if job.features and not _SIMPLE_FEATURES.match(job.features):
            return "its feature expression is not a plain list"
        if detail.max_nodes > detail.min_nodes:
            return "its number of nodes is a range"
        if job.num_nodes < self._settings.min_nodes:
            return f"jobs of fewer than {self._settings.min_nodes} nodes are left to Slurm"
        return ""

    def _ask(
        self,
        job: QueuedJob,
        detail: JobDetail,
        partition: PartitionRecord,
        intent: Intent,
        passes: int,
        *,
        is_ours: bool,
    ) -> Ask:
        cpus, memory_mib, gpus = needs_of(job)
        limit_s = job.time_limit_s
        if limit_s is None:
            limit_s = partition.default_time_s or partition.max_time_s or _NEVER_ENDS_S
        in_blocks = bool(self._room.block_sizes) and self._kinds.get(partition.name, "block") == "block"
        candidates = self._partition_masks[partition.name].copy()
        if not partition.is_up or (partition.max_nodes is not None and job.num_nodes > partition.max_nodes):
            candidates[:] = False
        for host in job.exc_nodes:
            if host in self._index:
                candidates[self._index[host]] = False
        if job.features and _SIMPLE_FEATURES.match(job.features):
            wanted = set(job.features.split("&"))
            candidates &= np.array([wanted <= features for features in self._room.features], np.bool_)
        for mask, reservation in self._reservations:
            if self._now_s + limit_s > reservation.start_s:
                candidates &= ~mask
        if not is_ours and job.req_nodes and len(job.req_nodes) >= job.num_nodes:
            candidates &= self._mask(job.req_nodes)
        return Ask(
            ref=job.tracked_ref,
            submit_s=int(job.submit_s),
            num_nodes=job.num_nodes,
            gpus=gpus,
            cpus=cpus,
            memory_mib=memory_mib,
            whole_nodes=self._is_exclusive(job, detail) or (self._memory_counts and memory_mib == 0),
            candidates=candidates,
            time_limit_s=limit_s,
            priority=job.priority,
            max_leaves=intent.max_leaves or (detail.max_switches if not in_blocks else 0),
            segment_nodes=detail.segment_nodes if in_blocks else 0,
            in_blocks=in_blocks,
            user_id=job.user_id,
            partition=partition.name,
            intent=intent,
            is_ours=is_ours,
            has_risen=passes >= MAX_PASSES,
        )

    def order(self, asks: Sequence[Ask], jobs: Mapping[str, QueuedJob]) -> list[Ask]:
        """Sort as Slurm does: partition tier, priority, then who came first."""
        return sorted(asks, key=lambda ask: self._rank(ask.partition, jobs[ask.ref]))

    def in_order(self, jobs: Mapping[str, QueuedJob]) -> list[tuple[str, QueuedJob]]:
        """Sort jobs by the same order."""

        def rank(item: tuple[str, QueuedJob]) -> tuple[int, int, int, int]:
            known = (name for name in item[1].partitions if name in self._partitions)
            return self._rank(next(known, ""), item[1])

        return sorted(jobs.items(), key=rank)

    def _rank(self, partition: str, job: QueuedJob) -> tuple[int, int, int, int]:
        tier = self._partitions[partition].priority_tier if partition in self._partitions else 0
        return (-tier, -job.priority, int(job.submit_s), job.job_id)

    def taken_by(self, job: QueuedJob, detail: JobDetail) -> Taken:
        """Return what a running job holds."""
        cpus, memory_mib, gpus = needs_of(job)
        end_s = job.end_s if job.end_s is not None and job.time_limit_s is not None else _NEVER_ENDS_S
        hosts = np.array([self._index[host] for host in job.nodes if host in self._index], np.int64)
        return Taken(hosts, gpus, cpus, memory_mib, self._is_exclusive(job, detail), max(end_s, self._now_s))


MAX_PASSES = 3  # after being passed over so often, nothing behind a job may delay it
