"""Failures and repairs drawn from mean times, host by host."""

from __future__ import annotations

import numpy as np

from planner.replay.rules import Outage
from topologies.errors import InputError

__all__ = ["draw_outages"]


def draw_outages(num_hosts: int, span_s: float, *, mtbf_s: float, repair_s: float, seed: int) -> tuple[Outage, ...]:
    """Draw failures of hosts over a span: exponential times between failures, exponential repairs, hosts independent.

    Raises
    ------
    InputError
        If a mean time is not above 0.
    """
    for name, value in (("mtbf", mtbf_s), ("repair", repair_s)):
        if not 0 < value < float("inf"):
            raise InputError(what="a mean time is above 0", where=name, found=value)
    rng = np.random.default_rng(seed)
    found = []
    for host in range(num_hosts):
        now = float(rng.exponential(mtbf_s))
        while now < span_s:
            end = now + float(rng.exponential(repair_s))
            found.append(Outage(host, now, end))
            now = end + float(rng.exponential(mtbf_s))
    return tuple(sorted(found, key=lambda outage: (outage.start_s, outage.host)))
