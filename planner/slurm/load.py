"""Load on the leaf switches' uplinks by the jobs' rings, from Slurm's topology alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.slurm.room import Ints, Room

__all__ = ["leaf_loads"]


def leaf_loads(room: Room, placements: Sequence[Ints]) -> Ints:
    """Count, for each leaf, the host-to-host edges of the jobs' rings that leave it.

    A ring goes through a job's hosts in rank order and back to the first; each edge that leaves a leaf is one flow of
    the job up its uplinks.

    Returns
    -------
    numpy.ndarray
        ``(leaves,)``.
    """
    loads = np.zeros(len(room.leaf_names), np.int64)
    for hosts in placements:
        leaf = room.leaf[hosts]
        crossing = leaf != np.roll(leaf, -1)
        loads += np.bincount(leaf[crossing], minlength=len(loads))
    return loads
