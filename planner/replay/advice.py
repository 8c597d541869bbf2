"""Right-sizing: who holds more than it uses, who has dearer accelerators than it needs, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Advice", "AdviceKind"]

AdviceKind = Literal["ask-for-less", "share-an-accelerator", "cheaper-kind", "shrink-pool", "share-pools"]


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change.

    Attributes
    ----------
    kind
        What sort of change.
    tenant
        Whose.
    text
        In words, with figures.
    jobs
        How many jobs it is about; 0 for pools.
    gpu_h
        Accelerator-hours that it frees in the time of the trace.
    usd_per_month
        What that is worth a month.
    """

    kind: AdviceKind
    tenant: str
    text: str
    jobs: int
    gpu_h: float
    usd_per_month: float
