"""Why idle accelerators are idle: each by the first cause that keeps the first blocked job from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planner.replay.pool import WHOLE_MILLI, Ask, HostPool

__all__ = ["CAUSES", "Slots", "slots", "stranded"]

CAUSES: Mapping[str, str] = {
    "down": "its host is drained or broken",
    "no-demand": "nobody waits",
    "wrong-kind": "the first blocked job does not accept its model",
    "memory": "its host has too little memory left",
    "processor": "its host has too few processors left",
    "quota": "the tenant of the first blocked job holds all it may",
    "fragmented": "too few accelerators are free together on its host",
    "gang": "it would do, and waits for the rest of a gang",
    "order": "it would do for the whole job, which waits for a place of its own or for those before it",
}
"""Cause → in words, in the order in which causes are asked for."""


def stranded(pool: HostPool, asks: Sequence[Ask] | None, *, why: str = "") -> dict[str, float]:
    """Return idle accelerators by cause; they add up to all that is idle.

    Parameters
    ----------
    asks
        Of the first job that is blocked; None if nobody waits.
    why
        Why it is blocked, as the replay says: ``quota``, ``room`` or ``order``.
    """
    causes = dict.fromkeys(CAUSES, 0.0)
    if not asks and pool.is_up.all():
        causes["no-demand"] = float(pool.left.sum()) / WHOLE_MILLI
        return causes
    idle = pool.left.copy()

    def settle(cause: str, mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        causes[cause] += float(idle[mask].sum()) / WHOLE_MILLI
        idle[mask] = 0

    settle("down", ~pool.is_up)
    everywhere = np.ones(pool.num_hosts, bool)
    if not asks:
        settle("no-demand", everywhere)
        return causes
    ask = asks[0]
    settle("wrong-kind", ~pool.accepts(ask.models))
    settle("memory", pool.memory_left < ask.memory_mib)
    settle("processor", pool.cpu_left < ask.cpu_milli)
    if why == "quota":
        settle("quota", everywhere)
        return causes
    settle("fragmented", ~pool.fits(ask))
    settle("gang" if int(pool.fits(ask).sum()) < len(asks) else "order", everywhere)
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
    up = np.where(pool.is_up, pool.whole, 0)
    idle = float(pool.left.sum()) / WHOLE_MILLI
    found = []
    for size in sizes:
        whole_hosts = int((up == pool.width).sum())
        free = int((up // size).sum()) if size <= pool.width else whole_hosts * pool.width // size
        found.append(Slots(size, free, idle - free * size, _blocked_by(pool, size, idle - free * size, idle)))
    return found


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
