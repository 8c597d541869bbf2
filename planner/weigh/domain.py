"""What a scale-up domain is worth to a workload: gain by its size, and the NIC rate that makes up for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from planner.workloads.machine import Machine, used_of_domain
from topologies.units import to_gbps

__all__ = ["SMALL", "domain_study", "with_domain"]

SMALL = 8
"""Accelerators of the domain that larger ones are held against: a host of eight."""

_GAIN_FRAC = 0.01
_MOST_NIC_FACTOR = 64.0
_TRIED_DOMAINS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_BISECTIONS = 7

TimeAt = Callable[[Machine], float]


def with_domain(machine: Machine, domain: int) -> Machine:
    """Return the same accelerators in domains of another size."""
    return replace(machine, domain=used_of_domain(machine.num_accelerators, domain), full_domain=domain)


def domain_study(time_at: TimeAt, machine: Machine, step_s: float) -> dict[str, Any]:
    """Return what the scale-up domain is worth to a workload, the accelerators and their links staying the same.

    Parameters
    ----------
    time_at
        Time of a step, or of as much work, on a machine.
    machine, step_s
        The machine as it is, and its time.
    """
    own = machine.full_domain
    sizes = sorted({d for d in _TRIED_DOMAINS if d <= machine.num_accelerators} | {min(own, machine.num_accelerators)})
    times = {d: step_s if d == own else time_at(with_domain(machine, d)) for d in sizes}
    steps = np.array([times[d] for d in sizes])
    # A larger domain can always be used as a smaller one.
    reached = np.minimum.accumulate(steps)
    enough = next(d for d, t in zip(sizes, reached, strict=True) if t <= reached[-1] * (1 + _GAIN_FRAC))
    out: dict[str, Any] = {
        "step_s_by_domain": {str(d): float(t) for d, t in zip(sizes, reached, strict=True)},
        "enough": enough,
    }
    if own > SMALL and machine.num_accelerators > SMALL:
        smaller = with_domain(machine, SMALL)
        at_small = float(times[SMALL] if SMALL in times else time_at(smaller))
        out["step_s_small"] = at_small
        out["break_even_premium_frac"] = at_small / step_s - 1
        out["nic_gbps_to_catch_up"] = _catch_up(time_at, smaller, step_s)
    return out


def _catch_up(time_at: TimeAt, machine: Machine, step_s: float) -> float | None:
    """Return the NIC rate at which the machine's step takes no longer than `step_s` (1 %), or ``None`` if none does."""

    def at(factor: float) -> float:
        return time_at(replace(machine, nic_bytes_per_s=machine.nic_bytes_per_s * factor))

    goal = step_s * (1 + _GAIN_FRAC)
    if at(1.0) <= goal:
        return float(to_gbps(machine.nic_bytes_per_s))
    if at(_MOST_NIC_FACTOR) > goal:
        return None
    low, high = 0.0, math.log2(_MOST_NIC_FACTOR)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if at(2**middle) <= goal else (middle, high)
    return float(to_gbps(machine.nic_bytes_per_s) * 2**high)
