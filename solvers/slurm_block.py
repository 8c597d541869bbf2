"""Slurm's topology/block: aligned groups of base blocks, the emptiest sufficient one first, segments one by one."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log2

import numpy as np

from planner.job import Job
from solvers.greedy import GreedySolver
from solvers.inventory import Inventory
from topologies.fabric import Int64s

__all__ = ["SlurmBlock", "SlurmBlockSolver", "block_nodes"]


def block_nodes(nodes_a_block: Int64s, wanted: int, block_size: int) -> list[int] | None:
    """Return how a request of `wanted` nodes is dealt out: base blocks in the order in which they are chosen.

    As Slurm's ``eval_nodes_block.c`` (25.11): the request goes to one aligned group of 2^L base blocks, L the least
    with 2^L × size ≥ wanted; of the groups that hold it on no more half-groups than it needs, the one with fewest free
    nodes, the last of several; in it base blocks one after the other: half-groups that are used already, then those
    that hold the rest (fewest nodes first), then the fullest; the same among base blocks.

    Parameters
    ----------
    nodes_a_block
        ``(B,)`` free nodes of each base block, in the order of Slurm's configuration.
    wanted, block_size
        Nodes wanted; nodes of a whole base block.

    Returns
    -------
    list or None
        Base blocks; None if no group will do.
    """
    level = ceil(log2(ceil(wanted / block_size))) if wanted > block_size else 0
    width = 1 << level
    half = max(1, width // 2)
    most_halves = ceil(wanted / (half * block_size)) if level else 1
    num = len(nodes_a_block)
    best, fewest = -1, 0
    for group in range(ceil(num / width)):
        nodes = nodes_a_block[group * width : (group + 1) * width]
        halves = np.sort([nodes[i : i + half].sum() for i in range(0, len(nodes), half)])[::-1]
        if halves[:most_halves].sum() >= wanted and (best < 0 or nodes.sum() <= fewest):
            best, fewest = group, int(nodes.sum())
    if best < 0:
        return None
    inside = range(best * width, min((best + 1) * width, num))
    chosen: list[int] = []
    left = wanted
    while left > 0:
        used = {b // half for b in chosen}
        ready = [b for b in inside if b not in chosen and nodes_a_block[b] > 0]
        if len(used) >= most_halves:
            ready = [b for b in ready if b // half in used]
        if not ready:
            return None
        in_half = {b // half: int(nodes_a_block[b // half * half : (b // half + 1) * half].sum()) for b in ready}
        pick = min(
            ready, key=lambda b: (*_rank(b // half, used, in_half, left), *_closest(int(nodes_a_block[b]), left), -b)
        )
        chosen.append(pick)
        left -= int(nodes_a_block[pick])
    return chosen


def _rank(half: int, used: set[int], in_half: dict[int, int], left: int) -> tuple[bool, bool, int]:
    return (half not in used, *_closest(in_half[half], left))


def _closest(nodes: int, left: int) -> tuple[bool, int]:
    """Order what holds the rest before what does not: the former fewest first, the latter most first."""
    return (nodes < left, nodes if nodes >= left else -nodes)


class SlurmBlock:
    """Slurm's topology/block on leaf groups as base blocks.

    Nodes in a base block are taken by number. A job without `segment_hosts` is one segment; segments are placed one
    after the other, each in one group of blocks.
    """

    def scopes(self, inventory: Inventory, job: Job, give: Int64s) -> Iterator[Int64s]:
        """Yield the hosts that Slurm would take, if it would start the job at all."""
        fabric = inventory.fabric
        each = job.accelerators_per_host or min(job.accelerators, int(fabric.host_num_accelerators.max()))
        wanted = ceil(job.accelerators / each)
        ready = give >= each if job.accelerators_per_host or wanted > 1 else give >= job.accelerators
        size = int(np.bincount(fabric.host_leaf_group).min())
        segment = job.segment_hosts or wanted
        taken: list[Int64s] = []
        for _ in range(wanted // segment):
            nodes = np.bincount(fabric.host_leaf_group[ready], minlength=fabric.num_leaf_groups).astype(np.int64)
            blocks = block_nodes(nodes, segment, size)
            if blocks is None:
                return
            hosts = np.concatenate([np.flatnonzero(ready & (fabric.host_leaf_group == b)) for b in blocks])[:segment]
            ready[hosts] = False
            taken.append(hosts)
        yield np.concatenate(taken)


class SlurmBlockSolver(GreedySolver):
    """Slurm's topology/block."""

    name = "slurm-block"
    policy = staticmethod(lambda seed: SlurmBlock())
    rule = "Slurm's topology/block lets it start: in one aligned group of blocks no larger than it needs"
