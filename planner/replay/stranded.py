"""Why accelerators do no work: each by the first cause that keeps the first blocked job from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.replay.pool import WHOLE_MILLI, Ask, Bools, HostPool

__all__ = ["CAUSES", "FREE_CAUSES", "HELD_CAUSES", "UNCHARGED", "Slots", "free_slots", "slots", "stranded"]

HELD_CAUSES: Mapping[str, str] = {
    "launching": "a job holds it that has not launched, or never does",
    "gang-held": "a gang holds it that is not complete",
    "spare-replica": "a serving pool holds it beyond what is asked of it",
}
"""Causes of accelerators that are held and do nothing → in words."""

FREE_CAUSES: Mapping[str, str] = {
    "down": "its host is drained or broken",
    "no-demand": "nobody waits",
    "reserved": "it is kept for a reservation",
    "wrong-kind": "the first blocked job does not accept its model",
    "memory": "its host has too little memory left",
    "processor": "its host has too few processors left",
    "quota": "the tenant of the first blocked job holds all it may",
    "isolation": "another tenant has the host or leaf group to itself",
    "fragmented": "too few accelerators are free together on its host",
    "gang": "it would do, and waits for the rest of a gang",
    "spread": "enough hosts would do, but not under one leaf group or pod",
    "order": "it would do for the whole job, which waits for its turn",
}
"""Causes of free accelerators → in words, in the order in which causes are asked for."""

CAUSES: Mapping[str, str] = {**HELD_CAUSES, **FREE_CAUSES}
"""All causes. What is held by work and what is idle by cause add up to all accelerators."""

UNCHARGED = frozenset({"no-demand"})
"""Causes that strand nothing."""


def stranded(
    pool: HostPool,
    asks: Sequence[Ask] | None,
    *,
    why: str = "",
    reserved: Bools | None = None,
    isolated: Bools | None = None,
) -> dict[str, float]:
    """Return free accelerators by cause; they add up to all that is free.

    Parameters
    ----------
    asks
        Of the first job that is blocked; None if nobody waits.
    why
        Why it is blocked, as the replay says: ``quota``, ``room`` or ``order``.
    reserved, isolated
        Hosts that are kept from it, ``(N,)``.
    """
    causes = dict.fromkeys(FREE_CAUSES, 0.0)
    if not asks and pool.is_up.all():
        causes["no-demand"] = float(pool.left.sum()) / WHOLE_MILLI
        return causes
    idle = pool.left.copy()

    def settle(cause: str, mask: Bools | None) -> None:
        if mask is not None:
            causes[cause] += float(idle[mask].sum()) / WHOLE_MILLI
            idle[mask] = 0

    settle("down", ~pool.is_up)
    everywhere = np.ones(pool.num_hosts, bool)
    if not asks:
        settle("no-demand", everywhere)
        return causes
    ask = asks[0]
    settle("reserved", reserved)
    settle("wrong-kind", ~pool.accepts(ask.models))
    settle("memory", pool.memory_left < ask.memory_mib)
    settle("processor", pool.cpu_left < ask.cpu_milli)
    if why == "quota":
        settle("quota", everywhere)
        return causes
    settle("isolation", isolated)
    fits = pool.has_room(ask)
    settle("fragmented", ~fits)
    for closed in (reserved, isolated):
        if closed is not None:
            fits &= ~closed
    hosts = int(np.count_nonzero(fits))
    settle("gang" if hosts < len(asks) else "spread" if why == "room" else "order", everywhere)
    return causes


@dataclass(frozen=True, slots=True)
class Slots:
    """How many jobs of one size could start now.

    Attributes
    ----------
    size
        Accelerators.
    free
        So many could start.
    missing
        Accelerators that stand idle beyond those, on hosts that cannot be used whole.
    blocked_by
        What keeps the next one from starting, in words.
    """

    size: int
    free: int
    missing: float
    blocked_by: str


def slots(pool: HostPool, sizes: Sequence[int] = (1, 8, 64, 512)) -> list[Slots]:
    """Count slots: a slot up to a host's size on one host, a larger one on whole hosts."""
    idle = float(pool.left.sum()) / WHOLE_MILLI
    found = []
    for size, free in zip(sizes, free_slots(pool, sizes), strict=True):
        found.append(Slots(size, free, idle - free * size, _blocked_by(pool, size, idle - free * size, idle)))
    return found


def free_slots(pool: HostPool, sizes: Sequence[int]) -> list[int]:
    """Return how many jobs of each size could start."""
    up = np.where(pool.is_up, pool.whole, 0)
    whole_hosts = int((up == pool.width).sum())
    return [
        int((up // size).sum()) if size <= pool.width else whole_hosts * pool.width // size for size in sizes
    ]  # fmt: skip


def _blocked_by(pool: HostPool, size: int, rest: float, idle: float) -> str:
    if rest < size:
        return f"{idle:g} accelerators are idle, {rest:g} beyond what is counted"
    down = float(pool.left[~pool.is_up].sum()) / WHOLE_MILLI
    broken = np.where(pool.is_up, pool.left, 0)
    need = min(size, pool.width)
    scattered = float(broken[pool.whole < need].sum()) / WHOLE_MILLI
    parts = []
    if scattered:
        parts.append(f"{scattered:g} idle ones lie on hosts with fewer than {need} free")
    if down:
        parts.append(f"{down:g} are on hosts that are down")
    return "; ".join(parts) or f"{rest:g} idle ones do not make up {size} on whole hosts"
