"""Best fit by leaf: the smallest group of the network that holds a job, and as few leaves of it as can be.

It decides fast which jobs can start at all, and is the start that the solver improves on.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    """Return ``(leaf, nodes)`` pairs, or ``None``.

    One leaf if one holds the job, the fullest such. Else the fewest edges of its ring that go up, out of leaves and of
    the groups above them; of those, leaves whose uplinks carry few rings already, then the group with least room to
    spare.
    """
    segment, most = ask.segment_nodes, ask.max_leaves
    levels = list(range(len(room.groups)))
    if room.block_sizes and ask.in_blocks:
        smallest = next((i for i, size in enumerate(room.block_sizes) if size >= ask.num_nodes), None)
        if segment and ask.num_nodes % segment:
            return None
        if not segment:
            if smallest is None:
                return None
            needed = -(-ask.num_nodes // room.block_sizes[0])
            most = min(most, needed) if most else needed
            levels = [smallest]  # Slurm takes it only in the smallest joined block that holds it
    usable = counts // segment * segment if segment else counts
    whole = np.flatnonzero(usable >= ask.num_nodes)
    if len(whole):
        return [(int(whole[np.argmin(usable[whole])]), ask.num_nodes)]
    best: tuple[tuple[int, int, int, int], list[tuple[int, int]]] | None = None
    groups = np.stack([_group_of_leaf(room, level) for level in range(len(room.groups))])
    for level in levels:
        for spare, chosen in _in_level(ask.num_nodes, usable, groups[level], room.rings):
            numbers = [leaf for leaf, _ in chosen]
            touched = (len(set(row[numbers].tolist())) for row in groups)
            crossings = sum(count for count in touched if count > 1)
            key = (crossings, int(room.rings[numbers].max()), level, spare)
            if (not most or len(chosen) <= most) and (best is None or key < best[0]):
                best = (key, chosen)
    if best is None and segment and room.block_sizes:  # whole segments may lie in blocks that do not join
        everywhere = _in_level(ask.num_nodes, usable, np.zeros(len(usable), np.int64), room.rings)
        return next((chosen for _, chosen in everywhere if not most or len(chosen) <= most), None)
    return None if best is None else best[1]


def _group_of_leaf(room: Room, level: int) -> Ints:
    """``(leaves,)``: group at a level of each leaf; a leaf without hosts gets none."""
    group = np.full(len(room.leaf_names), -1, np.int64)
    group[room.leaf] = room.groups[level]
    return group


def _in_level(need: int, usable: Ints, group: Ints, rings: Ints) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield a choice of leaves for each group that holds the job, and the group's room."""
    known = group >= 0
    totals = np.bincount(group[known], weights=usable[known]).astype(np.int64)
    for candidate in np.flatnonzero(totals >= need):
        leaves = np.flatnonzero(known & (group == candidate) & (usable > 0))
        yield int(totals[candidate]), _fill(need, leaves, usable, rings)


def _fill(need: int, leaves: Ints, usable: Ints, rings: Ints) -> list[tuple[int, int]]:
    """Fill the largest leaves whole; the rest goes to the smallest leaf that holds it."""
    order = sorted(leaves.tolist(), key=lambda leaf: (-int(usable[leaf]), int(rings[leaf]), leaf))
    chosen: list[tuple[int, int]] = []
    while need:
        if int(usable[order[0]]) >= need:
            holding = (leaf for leaf in order if usable[leaf] >= need)
            last = min(holding, key=lambda leaf: (int(usable[leaf]), int(rings[leaf]), leaf))
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
    if room.block_sizes and ask.in_blocks:
        limit = f"segments of {ask.segment_nodes}" if ask.segment_nodes else "blocks"
        return f"{free} nodes are free, but not in {limit} as topology/block wants them"
    if ask.max_leaves:
        return f"{free} nodes are free, but not within {ask.max_leaves} leaf switches"
    return f"{free} nodes are free, but no part of the network holds {ask.num_nodes} of them"
