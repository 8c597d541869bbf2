"""One cell of a study: a design, a workload and a size, from the best mapping to the bill."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.weigh.bill import bill_of
from planner.weigh.candidates import Candidates
from planner.weigh.cluster import machine_on
from planner.weigh.domain import SMALL
from planner.weigh.domain import domain_study as study_domain
from planner.weigh.failures import Reliability
from planner.weigh.priced import kept_of, priced
from planner.weigh.search import Found, Scan
from planner.weigh.serve_cell import weigh_serving
from planner.weigh.study_file import Assumptions, Design, Limits, Workload
from planner.workloads.fabric_pricing import FabricPricer
from planner.workloads.machine import Machine
from topologies.errors import InfeasibleError, ScaleplanError

__all__ = ["STEP_ERROR_FRAC", "weigh_cell"]

# Nine of ten published runs lie within this of the prediction (suite `train`).
STEP_ERROR_FRAC = 0.18
_SHORTLIST = 24


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
    if workload.is_serving:
        return weigh_serving(design, workload, num_accelerators, bounds, assumed, domain_study=domain_study)
    out: dict[str, Any] = {"design": design.name, "workload": workload.name, "accelerators": num_accelerators}
    try:
        machine = machine_on(design, num_accelerators, bounds.rack_kw)
        job = workload.job(machine)
        scan = Scan.of(job, machine, Candidates(most_micro_batch=8))
        found, bought, reliability = _best_use(design, scan, machine, bounds, assumed)
        bill = bill_of(design, bought, assumed, bounds.rack_kw, built_for=num_accelerators)
    except ScaleplanError as error:
        return out | {"refused": error.message}
    kept = found.tokens_per_s * reliability.goodput_frac
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
        "memory_bytes": _memory(found),
        "why": found.why(),
        **priced(
            design, bill, reliability, bounds, assumed,
            tokens=job.tokens, kept_tokens_per_s=kept, error_frac=STEP_ERROR_FRAC,
        ),
    }  # fmt: skip
    if domain_study:
        out["domain"] = _worth(design, scan, machine, found.step_s, kept / bought, bounds, assumed)
    return out


def _memory(found: Found) -> dict[str, float]:
    """Return the memory of the fullest accelerator by part."""
    memory = found.times.memory
    parts = ("weights", "gradients", "optimizer", "activations", "buffers")
    return {part: float(getattr(memory, f"{part}_bytes")[0]) for part in parts} | {"usable": memory.usable_bytes}


def _worth(
    design: Design,
    scan: Scan,
    machine: Machine,
    step_s: float,
    kept_each: float,
    limits: Limits,
    assumptions: Assumptions,
) -> dict[str, Any]:
    """Return what the domain is worth by the step, and by what is kept for each accelerator bought."""
    domain = study_domain(lambda where: scan.best(machine=where, keep=1).step_s, machine, step_s)
    if "step_s_small" in domain:
        # The same accelerators in domains of 8: fewer stand by, and less goes down with a tray.
        count = machine.num_accelerators
        small, left = kept_of(design, count, count, SMALL, SMALL, limits.rack_kw, assumptions)
        kept_small = scan.job.tokens_a_step / domain.pop("step_s_small") * left.goodput_frac
        domain["break_even_bought_frac"] = kept_each / (kept_small / small) - 1
    return domain


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
