"""Which jobs start now: strictly in order, and no job starts that would delay one passed over before it.

The first job that does not fit gets a promise: the earliest time at which it would, by the time limits of what runs,
and the hosts it would take then. A job behind it may use those hosts only if it ends before that time. Jobs that have
been passed over often get a promise too. This is EASY backfilling (Lifka 1995) with room on named hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from planner.slurm.leaf_fit import fit, why_not
from planner.slurm.room import Ask, Bools, Ints, Room, Taken

__all__ = ["Admission", "Promise", "admit"]

UNLIMITED_S = 365 * 86400.0  # Slurm's own stand-in for a job without a time limit (365-00:00:00 in scontrol)
MAX_PROMISES = 8


@dataclass(frozen=True, eq=False)
class Promise:
    """When and where a job that has to wait can start at the latest."""

    ref: str
    start_s: float
    hosts: Ints


@dataclass(eq=False)
class Admission:
    """The outcome.

    Attributes
    ----------
    placed
        Hosts in rank order of each job that starts now, in the order of admission.
    waiting
        Why each other job does not.
    promises
        What must not be delayed.
    passed_over
        Jobs that wait while one behind them starts.
    room
        What is left.
    """

    room: Room
    placed: dict[tuple[str, int], Ints] = field(default_factory=dict)
    waiting: dict[tuple[str, int], str] = field(default_factory=dict)
    promises: list[Promise] = field(default_factory=list)
    passed_over: set[tuple[str, int]] = field(default_factory=set)
    forbidden: dict[tuple[str, int], Bools] = field(default_factory=dict)


def admit(
    asks: Sequence[Ask],
    room: Room,
    running: Sequence[Taken],
    now_s: float,
    *,
    is_patient: Callable[[Ask], bool] = lambda ask: False,
) -> Admission:
    """Walk the jobs in order and decide which start now.

    Parameters
    ----------
    asks
        Most urgent first.
    room
        What is free now.
    running
        What holds the rest, and until when.
    now_s
        Seconds since the epoch.
    is_patient
        Whether a job that could start now, but on more leaves than its size needs, waits a little for better hosts.
        Jobs behind it go on.
    """
    result = Admission(room)
    leaf_sizes = np.sort(np.bincount(room.leaf, minlength=1))[::-1].cumsum()
    for ask in asks:
        forbidden = _forbidden(ask, result.promises, len(room.hosts), now_s)
        hosts = fit(ask, result.room, forbidden=forbidden)
        if hosts is not None and ask.is_ours:
            least = int(np.searchsorted(leaf_sizes, len(hosts))) + 1
            if len(np.unique(room.leaf[hosts])) > least and is_patient(ask):
                result.waiting[ask.key] = "waits a little for hosts on fewer leaf switches"
                continue
        if hosts is not None:
            result.placed[ask.key] = hosts
            if forbidden is not None:
                result.forbidden[ask.key] = forbidden
            result.room = result.room.take([ask.taken(hosts, now_s)])
            if ask.is_ours:
                result.passed_over |= result.waiting.keys()
            continue
        held_back = forbidden is not None and fit(ask, result.room) is not None
        result.waiting[ask.key] = (
            f"would delay job {result.promises[0].ref}, which is due first" if held_back else why_not(ask, result.room)
        )
        if len(result.promises) < MAX_PROMISES and (not result.promises or ask.has_risen):
            started = [a.taken(result.placed[a.key], now_s) for a in asks if a.key in result.placed]
            promise = _promise(ask, result.room, [*running, *started], now_s)
            if promise is not None:
                result.promises.append(promise)
    return result


def _forbidden(ask: Ask, promises: Sequence[Promise], num_hosts: int, now_s: float) -> Bools | None:
    """``(H,)``: hosts promised to others before this job would end; ``None`` if there are none."""
    end_s = now_s + min(ask.time_limit_s, UNLIMITED_S)
    late = [promise for promise in promises if end_s > promise.start_s]
    if not late:
        return None
    mask = np.zeros(num_hosts, np.bool_)
    for promise in late:
        mask[promise.hosts] = True
    return mask


def _promise(ask: Ask, room: Room, holders: Sequence[Taken], now_s: float) -> Promise | None:
    """Find the earliest end of holders after which the job fits; ``None`` if it never does."""
    free_now = np.bincount(room.leaf[ask.fits(room)], minlength=len(room.leaf_names))
    room = replace(room, rings=free_now)  # among equals, promise leaves that are busy now: the free ones can be used
    ends = sorted({min(holder.end_s, now_s + UNLIMITED_S) for holder in holders})
    low, high = 0, len(ends)
    found: tuple[float, Ints] | None = None
    while low < high:  # more ends free more room, so the first that is enough can be bisected
        middle = (low + high) // 2
        gone = [holder for holder in holders if min(holder.end_s, now_s + UNLIMITED_S) <= ends[middle]]
        hosts = fit(ask, _give_back(room, gone))
        if hosts is None:
            low = middle + 1
        else:
            found = (ends[middle], hosts)
            high = middle
    return None if found is None else Promise(ask.ref, max(found[0], now_s), found[1])


def _give_back(room: Room, gone: Sequence[Taken]) -> Room:
    """Return the room there is once some jobs have ended."""
    gpus, cpus, memory = room.gpus_free.copy(), room.cpus_free.copy(), room.memory_free_mib.copy()
    idle = room.is_idle.copy()
    for one in gone:
        gpus[one.hosts] += room.gpus[one.hosts] if one.whole_nodes else one.gpus
        cpus[one.hosts] += one.cpus
        memory[one.hosts] += one.memory_mib
        idle[one.hosts] = True
    return replace(
        room, gpus_free=np.minimum(gpus, room.gpus), cpus_free=cpus, memory_free_mib=memory, is_idle=idle & room.is_up
    )
