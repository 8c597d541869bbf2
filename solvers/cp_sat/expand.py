"""From counts to hosts and accelerators: the same counts always give the same answer."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice

import numpy as np
import numpy.typing as npt

from planner.job import Job
from planner.placement import Placement
from solvers.cp_sat.classes import Request
from solvers.cp_sat.constraints import Chunk, chunk_of
from solvers.cp_sat.model import Counts, CountsModel
from solvers.inventory import Inventory, Taken
from topologies.fabric import Int64s

__all__ = ["expand"]

_Pieces = list[tuple[int, int]]


def expand(counts: Counts, model: CountsModel, inventory: Inventory) -> Placement:
    """Take accelerators for every placed job; return them in rank order.

    Chunks go into the slots of the fillings that the model chose, or, where it only counted room, are packed by falling
    size into the fullest host that holds them. A job whose chunks do not all find a host is left out.
    """
    hall = _Hall(counts, model)
    staying = {job_id: taken for job_id, taken in model.running.items() if job_id in counts.stays}
    for job_id, taken in staying.items():
        problem = inventory.problem
        inventory.occupy(problem.jobs[problem.job_idx[job_id]], taken)
        hall.keep(inventory.fabric.accelerator_host[taken.ranks])
    given: dict[int, _Pieces] = defaultdict(list)
    spares: dict[int, list[int]] = defaultdict(list)
    wanted = [(r, size, c, n, False) for (r, size, c), n in counts.chunks.items()]
    wanted += [(r, model.asked[r].job.accelerators_per_host or 0, c, n, True) for (r, c), n in counts.spares.items()]

    def urgency(item: tuple[int, int, int, int, bool]) -> tuple[int, int, int]:
        r, size, c, n, _ = item
        return -chunk_of(model.asked[r], size, int(model.classes.free[c])).taken, -n, r

    for r, size, c, n, is_spare in sorted(wanted, key=urgency):
        request = model.asked[r]
        beside = {host for host, _ in given[r]} | set(spares[r]) if len(request.jobs) == 1 else set()
        hosts = hall.put(request, size, c, n, beside)
        if is_spare:
            spares[r] += hosts
        else:
            given[r] += [(host, size) for host in hosts]
    loose: dict[int, _Pieces] = defaultdict(list)
    for (r, c), n in sorted(counts.loose.items()):
        loose[r] += hall.scatter(c, n)
    placed = _take(counts, model, inventory, given, loose, spares)
    kept = {job_id: taken.ranks for job_id, taken in staying.items()}
    return Placement({**kept, **placed.ranks}, placed.spares)


class _Hall:
    """Room and slots of the hosts of every class."""

    def __init__(self, counts: Counts, model: CountsModel) -> None:
        self.classes = model.classes
        self.room = {int(h): int(self.classes.free[c]) for c, hosts in enumerate(self.classes.hosts) for h in hosts}
        self.class_of = {int(h): c for c, hosts in enumerate(self.classes.hosts) for h in hosts}
        self.by_room: set[int] = set()
        self.slots: dict[tuple[int, Chunk], dict[int, int]] = {}
        for c, (chunks, filled) in counts.fillings.items():
            hosts = iter(self.classes.hosts[c].tolist())
            for chunk in chunks:
                self.slots[c, chunk] = {}
            for pattern, times in filled:
                for host in islice(hosts, times):
                    for chunk, num in zip(chunks, pattern, strict=True):
                        if num:
                            self.slots[c, chunk][host] = num

    def keep(self, hosts: npt.NDArray[np.integer]) -> None:
        """Leave accelerators, given by their hosts, to a job that stays; pack the classes of those hosts by room."""
        for host, count in zip(*np.unique(hosts, return_counts=True), strict=True):
            self.room[int(host)] -= int(count)
            self.by_room.add(self.class_of[int(host)])

    def put(self, request: Request, size: int, c: int, num: int, beside: set[int]) -> list[int]:
        """Put chunks on hosts of a class, those of one job on different hosts; return the hosts."""
        chunk = chunk_of(request, size, int(self.classes.free[c]))
        slots = None if c in self.by_room else self.slots.get((c, chunk))
        apart = len(request.jobs) == 1
        chosen: list[int] = []
        for _ in range(num):
            hosts = slots if slots is not None else self.classes.hosts[c].tolist()
            ready = [h for h in hosts if self.room[h] >= chunk.taken and h not in beside]
            if not ready:
                break
            if slots is not None:
                host = max(ready, key=lambda h: (slots[h], -h))
                slots[host] -= 1
                if not slots[host]:
                    del slots[host]
            else:
                host = min(ready, key=lambda h: (self.room[h], h))
            self.room[host] -= chunk.taken
            chosen.append(host)
            if apart:
                beside.add(host)
        return chosen

    def scatter(self, c: int, num: int) -> _Pieces:
        """Take accelerators of a class wherever they are left, from hosts with most of them first."""
        pieces: _Pieces = []
        for host in sorted(self.classes.hosts[c].tolist(), key=lambda h: (-self.room[h], h)):
            got = min(num, self.room[host])
            if got:
                pieces.append((host, got))
                self.room[host] -= got
                num -= got
        return pieces


def _take(
    counts: Counts,
    model: CountsModel,
    inventory: Inventory,
    given: dict[int, _Pieces],
    loose: dict[int, _Pieces],
    spares: dict[int, list[int]],
) -> Placement:
    """Hand the hosts of each request to its jobs."""
    ranks: dict[str, Int64s] = {}
    held: dict[str, Int64s] = {}
    for r, request in enumerate(model.asked):
        chunks = given[r]
        for job in request.jobs[: counts.placed[r]]:
            if job.id in counts.stays:
                continue
            mine = [chunks.pop(0) for _ in range(min(len(chunks), _share(request)))] if chunks else []
            mine += _cut_off(loose[r], job.accelerators - sum(size for _, size in mine))
            if request.cut == "cover":
                mine = _cut_off(mine, job.accelerators)
            if sum(size for _, size in mine) == job.accelerators:
                taken = _take_one(inventory, job, mine, spares[r])
                if taken is not None:
                    ranks[job.id], held[job.id] = taken.ranks, taken.spares
    return Placement(ranks, held)


def _share(request: Request) -> int:
    """Return how many of a request's chunks are one job's."""
    return 1 if len(request.jobs) > 1 else 1_000_000


def _cut_off(pieces: _Pieces, wanted: int) -> _Pieces:
    """Take so many accelerators off a list of pieces."""
    taken: _Pieces = []
    while wanted > 0 and pieces:
        host, size = pieces.pop(0)
        taken.append((host, min(size, wanted)))
        if size > wanted:
            pieces.insert(0, (host, size - wanted))
        wanted -= size
    return taken


def _take_one(inventory: Inventory, job: Job, pieces: _Pieces, spare_hosts: list[int]) -> Taken | None:
    """Take one job's pieces, those on one host together; None if they are not there after all."""
    hosts, inverse = np.unique([host for host, _ in pieces], return_inverse=True)
    sizes = np.bincount(inverse.ravel(), weights=[size for _, size in pieces]).astype(np.int64)
    if (inventory.usable(job)[hosts] < sizes).any():
        return None
    return inventory.take(job, hosts, sizes, spare_hosts)
