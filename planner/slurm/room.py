"""What a plan works on: the room that is left on each host, and what each job asks for, as arrays over hosts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from planner.slurm.intent import Intent
from planner.slurm.records import NodeRecord, SlurmTopology

__all__ = ["Ask", "Bools", "Ints", "Room", "Taken", "build_room"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_NOTHING_SAID = Intent()


@dataclass(frozen=True, eq=False)
class Room:
    """Hosts in the order of the network, and what is free on each now.

    Attributes
    ----------
    hosts
        Names; hosts of one leaf stand together.
    gpus, gpus_free, cpus_free, memory_free_mib
        ``(H,)``.
    is_up, is_idle
        ``(H,)``: takes new jobs; nothing runs there.
    groups
        ``(levels, H)``: number of the leaf switch or base block, then of what joins them, up to the top.
    leaf_names
        Name of each leaf or base block.
    block_sizes
        Under topology/block, sizes in nodes at which blocks join; else empty.
    features
        Active features of each host.
    rings
        ``(leaves,)``: edges of running jobs' rings that leave each leaf.
    """

    hosts: tuple[str, ...]
    gpus: Ints
    gpus_free: Ints
    cpus_free: Ints
    memory_free_mib: Ints
    is_up: Bools
    is_idle: Bools
    groups: Ints
    leaf_names: tuple[str, ...]
    block_sizes: tuple[int, ...] = ()
    features: tuple[frozenset[str], ...] = ()
    rings: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if len(self.rings) != len(self.leaf_names):
            object.__setattr__(self, "rings", np.zeros(len(self.leaf_names), np.int64))

    def with_rings(self, placements: Iterable[Ints]) -> Room:
        """Return the same room with the rings of some jobs, given by their hosts in rank order, on the uplinks."""
        rings = self.rings.copy()
        for hosts in placements:
            leaf = self.leaf[hosts]
            crossing = leaf[leaf != np.roll(leaf, -1)]
            rings += np.bincount(crossing, minlength=len(rings))
        return replace(self, rings=rings)

    def index(self) -> dict[str, int]:
        """Map host names to their numbers."""
        return {host: i for i, host in enumerate(self.hosts)}

    @property
    def leaf(self) -> Ints:
        """``(H,)``: leaf of each host."""
        leaf: Ints = self.groups[0]
        return leaf

    def take(self, taken: Iterable[Taken]) -> Room:
        """Return the room that is left after some jobs took theirs."""
        gpus, cpus, memory = self.gpus_free.copy(), self.cpus_free.copy(), self.memory_free_mib.copy()
        idle = self.is_idle.copy()
        taken = list(taken)
        for one in taken:
            gpus[one.hosts] -= self.gpus[one.hosts] if one.whole_nodes else one.gpus
            cpus[one.hosts] -= one.cpus
            memory[one.hosts] -= one.memory_mib
            idle[one.hosts] = False
            if one.whole_nodes:
                cpus[one.hosts] = 0
        left = replace(
            self, gpus_free=np.maximum(gpus, 0), cpus_free=np.maximum(cpus, 0), memory_free_mib=memory, is_idle=idle
        )
        return left.with_rings(one.hosts for one in taken)


@dataclass(frozen=True, eq=False)
class Taken:
    """What one job holds on each of its hosts, and until when at the latest (seconds since the epoch)."""

    hosts: Ints
    gpus: int
    cpus: int
    memory_mib: int
    whole_nodes: bool
    end_s: float


@dataclass(frozen=True, eq=False)
class Ask:
    """What one job asks for.

    Parameters
    ----------
    ref, submit_s
        Which job.
    candidates
        ``(H,)``: hosts it may use by partition, exclusions and features, taken or not.
    cpus, memory_mib, gpus
        On each node.
    whole_nodes
        Wants nodes on which nothing else runs.
    time_limit_s
        Infinite for none.
    max_leaves
        Most leaves it may touch; 0 for any number.
    segment_nodes
        Under topology/block, nodes that must share a base block; 0 for not said.
    is_ours
        False for a job that Slurm itself will start: it is not planned, only kept from being delayed.
    in_blocks
        Under topology/block, whether its blocks hold for this job: not in a partition with a tree of its own.
    has_risen
        Passed over so often that no job behind it may delay it.
    """

    ref: str
    submit_s: int
    num_nodes: int
    gpus: int
    cpus: int
    memory_mib: int
    whole_nodes: bool
    candidates: Bools
    time_limit_s: float = float("inf")
    priority: int = 0
    max_leaves: int = 0
    segment_nodes: int = 0
    user_id: int = 0
    partition: str = ""
    intent: Intent = _NOTHING_SAID
    is_ours: bool = True
    in_blocks: bool = True
    has_risen: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """Which job, as in the journal."""
        return (self.ref, self.submit_s)

    def fits(self, room: Room) -> Bools:
        """``(H,)``: hosts that could take one node of it now."""
        mask = self.candidates & room.is_up
        mask &= room.gpus_free >= self.gpus
        mask &= room.cpus_free >= self.cpus
        mask &= room.memory_free_mib >= self.memory_mib
        if self.whole_nodes:
            mask &= room.is_idle
        return mask

    def taken(self, hosts: Ints, now_s: float) -> Taken:
        """Return what it holds once it runs on `hosts`."""
        return Taken(hosts, self.gpus, self.cpus, self.memory_mib, self.whole_nodes, now_s + self.time_limit_s)


def build_room(nodes: Sequence[NodeRecord], topology: SlurmTopology) -> Room:
    """Lay Slurm's nodes out along its topology; nodes the topology does not name share one leaf of their own."""
    leaf_of = topology.leaf_by_host()
    rank_of_leaf = {unit.name: i for i, unit in enumerate(topology.leaves)}
    rest = len(rank_of_leaf)
    ordered = sorted(nodes, key=lambda node: (rank_of_leaf.get(leaf_of.get(node.name, ""), rest), node.name))
    leaf = np.array([rank_of_leaf.get(leaf_of.get(node.name, ""), rest) for node in ordered], np.int64)
    leaf_names = (*rank_of_leaf, "") if rest in leaf or not rank_of_leaf else tuple(rank_of_leaf)
    return Room(
        hosts=tuple(node.name for node in ordered),
        gpus=np.array([node.gpus for node in ordered], np.int64),
        gpus_free=np.array([node.gpus_free for node in ordered], np.int64),
        cpus_free=np.array([max(0, node.cpus - node.cpus_used) if node.is_up else 0 for node in ordered], np.int64),
        memory_free_mib=np.array([node.memory_mib - node.memory_used_mib for node in ordered], np.int64),
        is_up=np.array([node.is_up for node in ordered], np.bool_),
        is_idle=np.array([node.is_idle for node in ordered], np.bool_),
        groups=_groups(leaf, leaf_names, topology),
        leaf_names=leaf_names,
        block_sizes=topology.block_sizes,
        features=tuple(frozenset(node.features) for node in ordered),
    )


def _groups(leaf: Ints, leaf_names: Sequence[str], topology: SlurmTopology) -> Ints:
    """``(levels, H)``: group of each host from its leaf up."""
    if topology.kind == "block" and topology.block_sizes:
        base = topology.block_sizes[0]
        return np.stack([leaf // max(1, size // base) for size in topology.block_sizes])
    parent = topology.parent_by_unit()
    levels = [leaf]
    names = list(leaf_names)
    for _ in range(16):  # deeper than any switch tree; ends a cycle in a broken one
        above = [parent.get(name, name) for name in names]
        if above == names:
            break
        ids = {name: i for i, name in enumerate(dict.fromkeys(above))}
        levels.append(np.array([ids[name] for name in above], np.int64)[leaf])
        names = above
    return np.stack(levels)
