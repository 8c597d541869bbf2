"""What a cell costs and takes, and which limits it breaks: the same for every kind of workload."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from planner.weigh.bill import Bill
from planner.weigh.cluster import cluster_of
from planner.weigh.failures import Reliability, reliability_of
from planner.weigh.study_file import Assumptions, Design, Limits
from topologies.units import to_kw

__all__ = ["kept_of", "priced"]

_SECONDS_A_DAY = 86_400.0


def kept_of(
    design: Design,
    num_accelerators: int,
    bought: int,
    domain: int,
    used: int,
    rack_kw: float | None,
    assumptions: Assumptions,
) -> tuple[int, Reliability]:
    """Return how many accelerators are bought in the end, spares included, and what failures leave.

    Parameters
    ----------
    design, num_accelerators
        What runs the job, and how many accelerators it uses.
    bought
        Accelerators of all domains that it touches; those left over stand by.
    domain, used
        Accelerators of a domain, and how many of them it uses.
    rack_kw, assumptions
        As in the study. A fabric has no more spares than it has accelerators.
    """
    cluster, assumptions = cluster_of(design, num_accelerators, rack_kw), design.assumed(assumptions)
    tray = design.values.get("blast_accelerators")

    def left(standing_by: int | None) -> Reliability:
        return reliability_of(
            cluster, num_accelerators, assumptions, domain=domain, used=used, tray=tray, standing_by=standing_by
        )

    bought = max(bought, num_accelerators + left(None).spares)
    if num_accelerators >= domain:  # domains are bought whole
        bought = -(-bought // domain) * domain
    if design.fabric() is not None:
        bought = min(bought, cluster.accelerators)
    return bought, left(bought - num_accelerators)


def priced(
    design: Design,
    bill: Bill,
    reliability: Reliability,
    limits: Limits,
    assumptions: Assumptions,
    *,
    tokens: float,
    kept_tokens_per_s: float,
    error_frac: float,
) -> dict[str, Any]:
    """Return days, money, power, room and broken limits of a cell as plain data.

    Parameters
    ----------
    design, bill, reliability, limits, assumptions
        What is bought, what it costs, and what failures leave.
    tokens, kept_tokens_per_s
        Of the whole run, and what is kept after failures.
    error_frac
        Band of the days.
    """
    days = tokens / kept_tokens_per_s / _SECONDS_A_DAY
    per_mtoken = [rate / (kept_tokens_per_s * 3600) * 1e6 for rate in bill.usd_per_h]
    money = all(math.isfinite(rate) for rate in bill.usd_per_h)
    out: dict[str, Any] = {
        "reliability": {**asdict(reliability), "blasts": [asdict(blast) for blast in reliability.blasts]},
        "days_to_train": days,
        "days_band": [days / (1 + error_frac), days * (1 + error_frac)],
        "cost_basis": bill.basis,
        "capital_usd": bill.capital_usd,
        "capital_band_usd": dict(zip(("low", "typical", "high"), bill.capital_band_usd, strict=True)),
        "usd_per_mtoken": dict(zip(("low", "typical", "high"), per_mtoken, strict=True)) if money else None,
        "run_usd": bill.usd_per_h[1] * days * 24 if money else None,
        "power_kw": to_kw(bill.watts) * assumptions.pue,
        "racks": bill.racks,
        "rack_kw": to_kw(bill.rack_watts),
        "network_racks": bill.network_racks,
        "floor_m2": bill.floor_m2,
        "parts": bill.parts,
        "unpriced": list(bill.unpriced),
    }
    out["breaks"] = _broken(design, out, limits, bill)
    return out


def _broken(design: Design, cell: dict[str, Any], limits: Limits, bill: Bill) -> list[str]:
    broken = []
    if limits.cooling == "air" and design.values.get("cooling") == "liquid":
        broken.append("needs liquid cooling")
    checks = (
        ("rack_kw", "kW a rack"),
        ("power_kw", "kW in all"),
        ("racks", "racks of hosts"),
        ("floor_m2", "m² of floor"),
    )
    for key, words in checks:
        limit = getattr(limits, key)
        if limit is not None and cell[key] > limit:
            broken.append(f"{cell[key]:,.0f} {words}, allowed {limit:,.0f}")
    capital = sum(cell["capital_usd"].values())
    if limits.budget_usd is not None and capital > limits.budget_usd:
        broken.append(f"{capital:,.0f} USD of capital, allowed {limits.budget_usd:,.0f}")
    if limits.available_by is not None and (design.values.get("available") or "") > limits.available_by:
        broken.append(f"available from {design.values['available']}, wanted by {limits.available_by}")
    for part, months in limits.supply:
        needed = bill.parts.get(part, 0)
        had = max((n for month, n in months if limits.available_by is None or month <= limits.available_by), default=0)
        if needed > had:
            by = f" by {limits.available_by}" if limits.available_by else ""
            broken.append(f"{needed:,} {part}, {had:,} to be had{by}")
    return broken
