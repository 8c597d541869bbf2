"""Load on the leaf switches' uplinks by the jobs' rings, from Slurm's topology alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    return replace(room, rings=np.zeros(len(room.leaf_names), np.int64)).with_rings(placements).rings
