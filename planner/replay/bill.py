"""The bill: what accelerators cost by tenant for the hours they were allocated, used, and stranded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from planner.replay.metrics import Group, Summary
from topologies.errors import InputError

__all__ = ["Bill", "Line", "bill"]

_HOURS_A_MONTH = 730.0  # 8,760 h a year / 12


@dataclass(frozen=True, slots=True)
class Line:
    """What one tenant pays."""

    tenant: str
    allocated_usd: float
    used_usd: float


@dataclass(frozen=True)
class Bill:
    """The bill of a replay.

    Attributes
    ----------
    lines
        By tenant, dearest first.
    stranded_usd
        By cause: what stood idle although somebody waited, or was down.
    idle_usd
        What stood idle as nobody waited.
    total_usd
        All accelerators over the whole time.
    month_usd
        The same a month.
    """

    lines: tuple[Line, ...]
    stranded_usd: Mapping[str, float]
    idle_usd: float
    total_usd: float
    month_usd: float


def bill(summary: Summary, by_tenant: Mapping[str, Group], capacity: float, usd_per_gpu_hour: float) -> Bill:
    """Price a replay.

    Raises
    ------
    InputError
        If the price is negative or no number.
    """
    if not 0 <= usd_per_gpu_hour < float("inf"):
        raise InputError(what="a price is not negative", where="--usd-per-gpu-hour", found=usd_per_gpu_hour)
    lines = [
        Line(name, group.allocated_s / 3600 * usd_per_gpu_hour, group.useful_s / 3600 * usd_per_gpu_hour)
        for name, group in by_tenant.items()
    ]
    total = capacity * summary.makespan_s / 3600 * usd_per_gpu_hour
    causes = {cause: frac * total for cause, frac in summary.stranded_frac.items()}
    return Bill(
        tuple(sorted(lines, key=lambda line: (-line.allocated_usd, line.tenant))),
        {cause: usd for cause, usd in causes.items() if cause != "no-demand" and usd > 0},
        causes.get("no-demand", 0.0),
        total,
        capacity * usd_per_gpu_hour * _HOURS_A_MONTH,
    )
