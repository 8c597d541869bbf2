"""From counts to hosts and accelerators: the same counts always give the same answer."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from planner.job import Job
from solvers.cp_sat.model import Counts, CountsModel
from solvers.inventory import Inventory
from topologies.fabric import Int64s

__all__ = ["expand"]


def expand(counts: Counts, model: CountsModel, inventory: Inventory) -> dict[str, Int64s]:
    """Take accelerators for every placed job; return job id → accelerators in rank order.

    Chunks are packed by falling size into the fullest host of their class that holds them. A job whose chunks do not
    all find a host (only possible where the model counts room without packing) is left out.
    """
    classes = model.classes
    room = {int(h): int(classes.free[c]) for c, hosts in enumerate(classes.hosts) for h in hosts}
    idle = {int(h) for c, hosts in enumerate(classes.hosts) if classes.is_idle[c] for h in hosts}
    wanted = sorted(
        ((size, r, c, n) for (r, size, c), n in counts.chunks.items()),
        key=lambda item: (not model.asked[item[1]].job.exclusive, -item[0], item[1], item[2]),
    )
    given: dict[int, list[tuple[int, int]]] = defaultdict(list)
    used: set[int] = set()
    for size, r, c, n in wanted:
        job = model.asked[r].job
        hosts = [int(h) for h in classes.hosts[c]]
        for _ in range(n):
            if job.exclusive:
                ready = [h for h in hosts if h in idle and h not in used and room[h] >= size]
            else:
                ready = [h for h in hosts if room[h] >= size]
            if not ready:
                continue
            host = min(ready, key=lambda h: (room[h], h))
            room[host] = 0 if job.exclusive else room[host] - size
            used.add(host)
            given[r].append((host, size))
    return _take(counts, model, inventory, given)


def _take(
    counts: Counts, model: CountsModel, inventory: Inventory, given: dict[int, list[tuple[int, int]]]
) -> dict[str, Int64s]:
    """Hand the hosts of each request to its jobs."""
    ranks: dict[str, Int64s] = {}
    for r, request in enumerate(model.asked):
        chunks = given[r]
        for i, job in enumerate(request.jobs[: counts.placed[r]]):
            mine = chunks[i * request.num_chunks : (i + 1) * request.num_chunks]
            if sum(size for _, size in mine) == job.accelerators:
                ranks[job.id] = _take_one(inventory, job, mine)
    return ranks


def _take_one(inventory: Inventory, job: Job, chunks: list[tuple[int, int]]) -> Int64s:
    """Take one job's chunks, those on one host together."""
    hosts, inverse = np.unique([host for host, _ in chunks], return_inverse=True)
    sizes = np.bincount(inverse.ravel(), weights=[size for _, size in chunks]).astype(np.int64)
    return inventory.take(job, hosts, sizes)
