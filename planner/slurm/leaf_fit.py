"""Best fit by leaf: the smallest group of the network that holds a job, and as few leaves of it as can be.

It decides fast which jobs can start at all, and is the start that the solver improves on.
"""

from __future__ import annotations

import numpy as np

from planner.slurm.room import Ask, Bools, Ints, Room

__all__ = ["fit", "why_not"]


def fit(ask: Ask, room: Room, *, forbidden: Bools | None = None) -> Ints | None:
    """Return the hosts for one job in rank order, leaf by leaf, or ``None`` if it does not fit now."""
    mask = ask.fits(room)
    if forbidden is not None:
        mask = mask & ~forbidden
    if int(np.count_nonzero(mask)) < ask.num_nodes:
        return None
    counts = np.bincount(room.leaf[mask], minlength=len(room.leaf_names))
    leaves = _choose_leaves(ask, room, counts)
    if leaves is None:
        return None
    chosen = [_hosts_of_leaf(leaf, need, mask, room) for leaf, need in sorted(leaves)]
    return np.concatenate(chosen)


def _hosts_of_leaf(leaf: int, need: int, mask: Bools, room: Room) -> Ints:
    """Take `need` hosts of a leaf, those with the least room first, so that whole hosts stay whole."""
    hosts = np.flatnonzero(mask & (room.leaf == leaf))
    order = np.argsort(room.gpus_free[hosts], kind="stable")
    return np.sort(hosts[order[:need]])


def _choose_leaves(ask: Ask, room: Room, counts: Ints) -> list[tuple[int, int]] | None:
    """Return ``(leaf, nodes)`` pairs, or ``None``."""
    segment, most = ask.segment_nodes, ask.max_leaves
    least_level = 0
    if room.block_sizes:
        base = room.block_sizes[0]
        least_level = next((i for i, size in enumerate(room.block_sizes) if size >= ask.num_nodes), -1)
        if not segment:
            if least_level < 0:
                return None
            needed = -(-ask.num_nodes // base)
            most = min(most, needed) if most else needed
        elif ask.num_nodes % segment:
            return None
        least_level = max(least_level, 0)
    usable = counts // segment * segment if segment else counts
    for level in range(least_level, len(room.groups)):
        found = _choose_in_level(ask.num_nodes, most, usable, _group_of_leaf(room, level))
        if found is not None:
            return found
        if room.block_sizes and not segment:
            return None  # Slurm takes a job without segments only in the smallest joined block that holds it
    if segment and room.block_sizes:
        return _choose_in_level(ask.num_nodes, most, usable, np.zeros(len(usable), np.int64))
    return None


def _group_of_leaf(room: Room, level: int) -> Ints:
    """``(leaves,)``: group at a level of each leaf; a leaf without hosts gets none."""
    group = np.full(len(room.leaf_names), -1, np.int64)
    group[room.leaf] = room.groups[level]
    return group


def _choose_in_level(need: int, most: int, usable: Ints, group: Ints) -> list[tuple[int, int]] | None:
    """Choose leaves in one group of a level: the group with the least room that holds `need` in `most` leaves."""
    known = group >= 0
    totals = np.bincount(group[known], weights=usable[known]).astype(np.int64)
    for candidate in np.argsort(totals, kind="stable"):
        if totals[candidate] < need:
            continue
        leaves = np.flatnonzero(known & (group == candidate) & (usable > 0))
        chosen = _fill(need, leaves, usable)
        if not most or len(chosen) <= most:
            return chosen
    return None


def _fill(need: int, leaves: Ints, usable: Ints) -> list[tuple[int, int]]:
    """Fill the largest leaves whole; the rest goes to the smallest leaf that holds it."""
    order = sorted(leaves.tolist(), key=lambda leaf: (-int(usable[leaf]), leaf))
    chosen: list[tuple[int, int]] = []
    while need:
        if int(usable[order[0]]) >= need:
            last = min((leaf for leaf in order if usable[leaf] >= need), key=lambda leaf: (int(usable[leaf]), leaf))
            return [*chosen, (last, need)]
        leaf = order.pop(0)
        chosen.append((leaf, int(usable[leaf])))
        need -= int(usable[leaf])
    return chosen


def why_not(ask: Ask, room: Room) -> str:
    """Say in words why a job does not fit now."""
    possible = int(np.count_nonzero(ask.candidates))
    if possible < ask.num_nodes:
        return f"needs {ask.num_nodes} nodes; its partition, exclusions and features leave {possible}"
    up = int(np.count_nonzero(ask.candidates & room.is_up))
    if up < ask.num_nodes:
        return f"needs {ask.num_nodes} nodes; {up} of {possible} are up"
    free = int(np.count_nonzero(ask.fits(room)))
    if free < ask.num_nodes:
        room_text = "that are idle" if ask.whole_nodes else f"with {ask.gpus} free GPUs" if ask.gpus else "with room"
        return f"needs {ask.num_nodes} nodes {room_text}; {free} of {up} are so now"
    if room.block_sizes:
        limit = f"segments of {ask.segment_nodes}" if ask.segment_nodes else "blocks"
        return f"{free} nodes are free, but not in {limit} as topology/block wants them"
    if ask.max_leaves:
        return f"{free} nodes are free, but not within {ask.max_leaves} leaf switches"
    return f"{free} nodes are free, but no part of the network holds {ask.num_nodes} of them"
