"""What Slurm said at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from planner.slurm.records import (
    JobDetail,
    NodeRecord,
    PartitionRecord,
    QueuedJob,
    ReservationRecord,
    SiteConfig,
    SlurmTopology,
)

__all__ = ["Snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """What Slurm said at one moment; the nodes were read before the queue.

    Attributes
    ----------
    read_s
        How long reading took.
    ended
        Jobs of the journal that have ended, by number, as far as Slurm still tells of them.
    partition_kinds
        ``tree``, ``block`` or ``flat`` of each partition that has a topology of its own (from 25.05), by its name.
    """

    now_s: float
    jobs: Sequence[QueuedJob]
    details: Mapping[int, JobDetail]
    nodes: Sequence[NodeRecord]
    partitions: Sequence[PartitionRecord]
    reservations: Sequence[ReservationRecord]
    config: SiteConfig
    topology: SlurmTopology
    read_s: float = 0.0
    ended: Mapping[str, QueuedJob] = field(default_factory=dict)
    partition_kinds: Mapping[str, str] = field(default_factory=dict)
