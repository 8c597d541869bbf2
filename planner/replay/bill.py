"""The bill: what accelerators cost by tenant for the hours they were allocated, used, and stranded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from planner.replay.metrics import GroupFigures, Summary
from planner.replay.stranded import UNCHARGED
from topologies.errors import InputError

__all__ = ["HOURS_A_MONTH", "Bill", "Line", "bill"]

HOURS_A_MONTH = 730.0  # 8,760 h a year / 12


@dataclass(frozen=True, slots=True)
class Line:
    """What one tenant pays, and what stood idle while its job was the first that had to wait.

    Attributes
    ----------
    tenant
        Who.
    allocated_usd, used_usd
        Hours it held; and of those, hours of progress: without launching, the network, and replicas to spare.
    stranded_usd
        Hours that accelerators stood idle while one of its jobs was kept waiting first of all, and hours it held
        without doing anything.
    """

    tenant: str
    allocated_usd: float
    used_usd: float
    stranded_usd: float


@dataclass(frozen=True)
class Bill:
    """The bill of a replay.

    Attributes
    ----------
    lines
        By tenant, dearest first.
    stranded_usd
        By cause: what did nothing although somebody waited or held it, or was down.
    idle_usd
        What stood idle as nobody waited.
    total_usd
        All accelerators over the whole time.
    month_usd
        The same a month.
    """

    lines: tuple[Line, ...]
    stranded_usd: dict[str, float]
    idle_usd: float
    total_usd: float
    month_usd: float

    @property
    def stranded_frac(self) -> float:
        """Part of everything that was stranded."""
        return sum(self.stranded_usd.values()) / self.total_usd if self.total_usd else 0.0


def bill(
    summary: Summary,
    by_tenant: Mapping[str, GroupFigures],
    stranded_s: Mapping[str, float],
    capacity: float,
    span_s: float,
    usd_per_gpu_hour: float,
) -> Bill:
    """Price a replay.

    Parameters
    ----------
    stranded_s
        Accelerator-seconds stranded by tenant.
    capacity, span_s
        Accelerators, and how long they were there.

    Raises
    ------
    InputError
        If the price is negative or no number.
    """
    if not 0 <= usd_per_gpu_hour < float("inf"):
        raise InputError(what="a price is not negative", where="--usd-per-gpu-hour", found=usd_per_gpu_hour)
    price = usd_per_gpu_hour
    lines = []
    for name in sorted({*by_tenant, *(tenant for tenant, lost in stranded_s.items() if lost > 0)}):
        group = by_tenant.get(name)
        held, used = (group.allocated_gpu_h, group.useful_gpu_h) if group else (0.0, 0.0)
        lines.append(Line(name, held * price, used * price, stranded_s.get(name, 0.0) / 3600 * price))
    total = capacity * span_s / 3600 * price
    causes = {cause: frac * total for cause, frac in summary.idle_frac.items()}
    return Bill(
        tuple(sorted(lines, key=lambda line: (-line.allocated_usd, line.tenant))),
        {cause: usd for cause, usd in causes.items() if cause not in UNCHARGED and usd > 0},
        sum(causes.get(cause, 0.0) for cause in UNCHARGED),
        total,
        capacity * price * HOURS_A_MONTH,
    )
