"""One cell of a study: a design, a workload and a size, from the best mapping to the bill."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from planner.weigh.bill import Bill, bill_of
from planner.weigh.cluster import cluster_of
from planner.weigh.failures import Reliability, reliability_of
from planner.weigh.search import Candidates, Found, Scan
from planner.weigh.study_file import Assumptions, Design, Limits, Workload
from planner.workloads.fabric_pricing import FabricPricer
from planner.workloads.machine import Machine, used_of_domain
from topologies.errors import InfeasibleError, ScaleplanError
from topologies.units import to_gbps, to_kw

__all__ = ["STEP_ERROR_FRAC", "kept_of", "weigh_cell"]

# Nine of ten published runs lie within this of the prediction (suite `train`).
STEP_ERROR_FRAC = 0.18
_SECONDS_A_DAY = 86_400.0
_GAIN_FRAC = 0.01
_MOST_NIC_FACTOR = 64.0
_TRIED_DOMAINS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_BISECTIONS = 7
_SHORTLIST = 24
_SMALL = 8


def weigh_cell(
    design: Design,
    workload: Workload,
    num_accelerators: int,
    limits: Limits | None = None,
    assumptions: Assumptions | None = None,
    *,
    domain_study: bool = True,
) -> dict[str, Any]:
    """Weigh one design under one workload at one size, as plain data.

    A cell that cannot be reckoned says why under ``refused``; one that breaks a limit lists it under ``breaks``.

    Parameters
    ----------
    design, workload, num_accelerators
        What is weighed.
    limits, assumptions
        What an architect is held to, and prices and failures.
    domain_study
        Whether to reckon what the scale-up domain is worth: gain by its size, and the NIC rate that makes up for it.
    """
    bounds, assumed = limits or Limits(), assumptions or Assumptions()
    out: dict[str, Any] = {"design": design.name, "workload": workload.name, "accelerators": num_accelerators}
    try:
        machine = design.machine(num_accelerators)
        job = workload.job(machine)
        scan = Scan.of(job, machine, Candidates(most_micro_batch=8))
        found, bought, reliability = _best_use(design, scan, machine, bounds, assumed)
        bill = bill_of(design, bought, assumed, bounds.rack_kw, built_for=num_accelerators)
    except ScaleplanError as error:
        return out | {"refused": error.message}
    kept = found.tokens_per_s * reliability.goodput_frac
    days = job.tokens / kept / _SECONDS_A_DAY
    per_mtoken = [rate / (kept * 3600) * 1e6 for rate in bill.usd_per_h]
    money = all(math.isfinite(rate) for rate in bill.usd_per_h)
    out |= {
        "precision": job.precision,
        "used_of_domain": found.machine.domain,
        "bought": bought,
        "step_s": found.step_s,
        "tokens_per_s": found.tokens_per_s,
        "mfu_frac": found.mfu_frac,
        "mapping": {k: v for k, v in found.mappings.row(0).items() if k != "recompute_frac"},
        "recompute_frac": float(found.times.memory.recompute_frac[0]),
        "parts_s": found.times.row(0),
        "why": found.why(),
        "reliability": {**asdict(reliability), "blasts": [asdict(blast) for blast in reliability.blasts]},
        "days_to_train": days,
        "days_band": [days / (1 + STEP_ERROR_FRAC), days * (1 + STEP_ERROR_FRAC)],
        "cost_basis": bill.basis,
        "capital_usd": bill.capital_usd,
        "capital_band_usd": dict(zip(("low", "typical", "high"), bill.capital_band_usd, strict=True)),
        "usd_per_mtoken": dict(zip(("low", "typical", "high"), per_mtoken, strict=True)) if money else None,
        "run_usd": bill.usd_per_h[1] * days * 24 if money else None,
        "power_kw": to_kw(bill.watts) * assumed.pue,
        "racks": bill.racks,
        "rack_kw": to_kw(bill.rack_watts),
        "network_racks": bill.network_racks,
        "floor_m2": bill.floor_m2,
        "parts": bill.parts,
        "unpriced": list(bill.unpriced),
    }
    out["breaks"] = _broken(design, out, bounds, bill)
    if domain_study:
        domain = _domain_study(scan, machine, found.step_s)
        if "step_s_small" in domain:
            # The same accelerators in domains of 8: fewer stand by, and less goes down with a tray.
            small, left = kept_of(design, num_accelerators, num_accelerators, _SMALL, _SMALL, bounds.rack_kw, assumed)
            kept_small = job.tokens_a_step / domain.pop("step_s_small") * left.goodput_frac
            domain["break_even_bought_frac"] = kept / bought / (kept_small / small) - 1
        out["domain"] = domain
    return out


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
    cluster = cluster_of(design, num_accelerators, rack_kw)
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


def _best_use(
    design: Design, scan: Scan, machine: Machine, limits: Limits, assumptions: Assumptions
) -> tuple[Found, int, Reliability]:
    """Return the best mapping, how many accelerators are bought for it, and what failures leave of it.

    It takes all of each domain, or a power of two of it, whichever gives more kept tokens for each accelerator bought.

    On a fabric the best few by bandwidth are priced on its links, ranks standing on its accelerators in order.
    """
    own, count = machine.full_domain, machine.num_accelerators
    fabric = design.fabric()
    best: tuple[float, Found, int, Reliability] | None = None
    for used in dict.fromkeys((machine.domain, 2 ** (min(own, count).bit_length() - 1))):
        if count % used or (
            fabric is not None and count // used * own > fabric.num_accelerators and used < own <= count
        ):
            continue
        bought = count // used * own if own <= count else count
        where = replace(machine, domain=used)
        if fabric is None:
            found = scan.best(machine=where, keep=4)
        else:
            pricer = FabricPricer.of(fabric, count, used=used)
            found = scan.best_on(pricer, machine=where, shortlist=_SHORTLIST, keep=4)
        bought, left = kept_of(design, count, bought, own, used, limits.rack_kw, assumptions)
        paid = found.step_s * bought / left.goodput_frac
        if best is None or paid < best[0] * (1 - 1e-9):
            best = paid, found, bought, left
    if best is None:
        raise InfeasibleError(what="no even share of a domain", where=machine.name, found=f"{count} accelerators")
    return best[1:]


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


def _with_domain(machine: Machine, domain: int) -> Machine:
    return replace(machine, domain=used_of_domain(machine.num_accelerators, domain), full_domain=domain)


def _domain_study(scan: Scan, machine: Machine, step_s: float) -> dict[str, Any]:
    """Return what the scale-up domain is worth to this workload, the accelerators and their links staying the same."""
    own = machine.full_domain
    sizes = sorted({d for d in _TRIED_DOMAINS if d <= machine.num_accelerators} | {min(own, machine.num_accelerators)})
    times = {d: step_s if d == own else scan.best(machine=_with_domain(machine, d), keep=1).step_s for d in sizes}
    steps = np.array([times[d] for d in sizes])
    # A larger domain can always be used as a smaller one.
    reached = np.minimum.accumulate(steps)
    enough = next(d for d, t in zip(sizes, reached, strict=True) if t <= reached[-1] * (1 + _GAIN_FRAC))
    out: dict[str, Any] = {
        "step_s_by_domain": {str(d): float(t) for d, t in zip(sizes, reached, strict=True)},
        "enough": enough,
    }
    if own > _SMALL and machine.num_accelerators > _SMALL:
        smaller = _with_domain(machine, _SMALL)
        at_small = float(times[_SMALL] if _SMALL in times else scan.best(machine=smaller, keep=1).step_s)
        out["step_s_small"] = at_small
        out["break_even_premium_frac"] = at_small / step_s - 1
        out["nic_gbps_to_catch_up"] = _catch_up(scan, smaller, step_s)
    return out


def _catch_up(scan: Scan, machine: Machine, step_s: float) -> float | None:
    """Return the NIC rate at which the machine's step takes no longer than `step_s` (1 %), or ``None`` if none does."""

    def time_at(factor: float) -> float:
        faster = replace(machine, nic_bytes_per_s=machine.nic_bytes_per_s * factor)
        return scan.best(machine=faster, keep=1).step_s

    goal = step_s * (1 + _GAIN_FRAC)
    if time_at(1.0) <= goal:
        return float(to_gbps(machine.nic_bytes_per_s))
    if time_at(_MOST_NIC_FACTOR) > goal:
        return None
    low, high = 0.0, math.log2(_MOST_NIC_FACTOR)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if time_at(2**middle) <= goal else (middle, high)
    return float(to_gbps(machine.nic_bytes_per_s) * 2**high)
