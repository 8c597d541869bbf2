"""``scaleplan slurm advise``: which block sizes and segments fit a site's jobs, and how many slots are free now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.slurm.history import PastJob
from planner.slurm.records import NodeRecord, QueuedJob, SlurmTopology
from planner.slurm.room import build_room
from topologies.errors import InputError

__all__ = ["BlockAdvice", "GroupSlots", "SlotReport", "advise_blocks", "advise_segment", "free_slots"]


@dataclass(frozen=True)
class BlockAdvice:
    """How a block size would have served the past jobs.

    Attributes
    ----------
    within_frac
        Node hours of jobs that fit into one block, over all node hours.
    stranded_frac
        Nodes that whole-segment placement leaves over, weighted by node hours: for each job size, what remains of a
        block after as many of its segments as fit.
    segments
        Suggested ``--segment`` for the commonest job sizes above a block.
    """

    block_nodes: int
    within_frac: float
    stranded_frac: float
    segments: dict[int, int]


def advise_segment(num_nodes: int, block_nodes: int) -> int:
    """Return the segment for a job larger than a block: the largest divisor of its size that fits a block.

    So as much of the job as can be stays inside blocks; what a block has left over is for smaller jobs.
    """
    return max(k for k in range(1, min(num_nodes, block_nodes) + 1) if num_nodes % k == 0)


def advise_blocks(jobs: Sequence[PastJob], candidates: Sequence[int], *, top: int = 5) -> list[BlockAdvice]:
    """Compare block sizes on past jobs.

    Raises
    ------
    InputError
        If there are no jobs of two nodes or more.
    """
    hours: Counter[int] = Counter()
    for job in jobs:
        if job.num_nodes > 1:
            hours[job.num_nodes] += job.num_nodes * max(1.0, job.run_s) / 3600.0  # type: ignore[assignment]
    if not hours:
        raise InputError(what="no past job of two nodes or more", fix="take more days")
    total = sum(hours.values())
    found = []
    for block in sorted(set(candidates)):
        large = [size for size, _ in hours.most_common() if size > block]
        segments = {size: advise_segment(size, block) for size in large[:top]}
        stranded = 0.0
        for size, spent in hours.items():
            unit = size if size <= block else advise_segment(size, block)
            stranded += spent * (block % unit) / block
        within = sum(spent for size, spent in hours.items() if size <= block)
        found.append(BlockAdvice(block, within / total, stranded / total, segments))
    return found


@dataclass(frozen=True)
class GroupSlots:
    """One leaf switch or block: how many slots it has, and what stands in the way of more.

    Attributes
    ----------
    slots, slots_if_empty
        Now, and if nothing ran and nothing were down.
    blockers
        ``(job, nodes it holds here)``, most first.
    not_up
        Nodes that take no jobs.
    """

    name: str
    slots: int
    slots_if_empty: int
    idle_nodes: int
    blockers: tuple[tuple[str, int], ...]
    not_up: tuple[str, ...]


@dataclass(frozen=True)
class SlotReport:
    """Slots of one size on the whole cluster.

    Attributes
    ----------
    across
        Further slots that would fit only across leaf switches or blocks.
    """

    num_gpus: int
    num_nodes: int
    slots: int
    slots_if_empty: int
    across: int
    groups: tuple[GroupSlots, ...]


def free_slots(
    num_gpus: int, nodes: Sequence[NodeRecord], jobs: Sequence[QueuedJob], topology: SlurmTopology
) -> SlotReport:
    """Count the free slots of so many GPUs inside one leaf switch or block, and say what blocks the others.

    A slot is whole idle nodes, or for less than a node that many free GPUs on one node.

    Raises
    ------
    InputError
        If no node has GPUs, or the size is not positive.
    """
    room = build_room(nodes, topology)
    per_node = int(room.gpus.max(initial=0))
    if num_gpus < 1 or not per_node:
        raise InputError(
            what="no slots of that size", found=f"{num_gpus} GPUs; the largest node has {per_node}", allowed="1 or more"
        )
    num_nodes = -(-num_gpus // per_node)
    index = room.index()
    holders: dict[int, Counter[str]] = {}
    for job in jobs:
        if job.is_running:
            for host in job.nodes:
                if host in index:
                    holders.setdefault(int(room.leaf[index[host]]), Counter())[job.ref] += 1
    groups = []
    spare = 0
    for leaf, name in enumerate(room.leaf_names):
        here = room.leaf == leaf
        if not here.any():
            continue
        whole = room.gpus[here] == per_node
        if num_gpus < per_node:
            slots, most = int((room.gpus_free[here] // num_gpus).sum()), int((room.gpus[here] // num_gpus).sum())
        else:
            idle = int((room.is_idle[here] & whole).sum())
            slots, most = idle // num_nodes, int(whole.sum()) // num_nodes
            spare += idle % num_nodes
        not_up = tuple(room.hosts[i] for i in np.flatnonzero(here & ~room.is_up))
        blockers = tuple(holders.get(leaf, Counter()).most_common()) if slots < most else ()
        groups.append(GroupSlots(name, slots, most, int(room.is_idle[here].sum()), blockers, not_up))
    return SlotReport(
        num_gpus=num_gpus,
        num_nodes=num_nodes,
        slots=sum(group.slots for group in groups),
        slots_if_empty=sum(group.slots_if_empty for group in groups),
        across=spare // num_nodes,
        groups=tuple(groups),
    )
