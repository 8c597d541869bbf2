"""One cell of a study whose workload is served, not trained: requests a second, price, power, the domain's worth.

Prompts and tokens are served by pools of their own, each spread as it does best within the asked times; the
accelerators are shared between them so that neither waits. The cache moves from one to the other over the NICs. A
failure takes down its own replica, not the whole service.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from planner.weigh.bill import bill_of
from planner.weigh.cluster import cluster_of, machine_on
from planner.weigh.domain import domain_study as study_domain
from planner.weigh.failures import Reliability, reliability_of
from planner.weigh.priced import priced
from planner.weigh.study_file import Assumptions, Design, Limits, Workload
from planner.workloads.machine import Machine, used_of_domain
from planner.workloads.model_catalogue import find_model
from planner.workloads.serving import Serving, decode_rate, kv_bytes_a_token, prefill_tokens_per_s
from planner.workloads.transformer import Transformer
from topologies.errors import InfeasibleError, ScaleplanError

__all__ = ["SERVING_ERROR_FRAC", "Served", "best_service", "kept_by_service", "weigh_serving"]

# Every counted figure of the suite `infer` lies within this of the prediction.
SERVING_ERROR_FRAC = 0.18
_MOST_WAYS = 16
_MOST_EXPERT_WAYS = 256


@dataclass(frozen=True, slots=True)
class Served:
    """The best way to serve a workload on a machine.

    Attributes
    ----------
    requests_per_s
        Of all accelerators.
    prefill, decode
        How a replica of each pool serves.
    prefill_accelerators
        Those that read prompts, of all; not whole replicas.
    batch, tpot_s
        Sequences of one decoding accelerator, and time per output token.
    bound
        What holds the batch back, or ``moving the cache``.
    """

    requests_per_s: float
    prefill: Serving
    decode: Serving
    prefill_accelerators: float
    batch: int
    tpot_s: float
    bound: str

    @property
    def width(self) -> int:
        """Accelerators of the larger replica."""
        return max(self.decode.tp * self.decode.ep, self.prefill.tp * self.prefill.ep)


def _ways(model: Transformer, count: int) -> list[tuple[int, int]]:
    tensor = [t for t in (1, 2, 4, 8, _MOST_WAYS) if t <= count and model.heads % t == 0]
    expert = [1]
    if model.experts:
        expert = [e for e in (2**k for k in range(_MOST_EXPERT_WAYS.bit_length())) if model.experts % e == 0]
    return [(t, e) for t in tensor for e in expert if t * e <= min(count, _MOST_EXPERT_WAYS) and (t == 1 or e == 1)]


def _fitted(machine: Machine, width: int) -> tuple[Machine, float]:
    """Return the machine with as much of each domain as whole replicas fill, and what part of the domain that is.

    Replicas wider than a domain take an equal share of several.
    """
    own = min(machine.full_domain, machine.num_accelerators)
    used = own // width * width if width <= own else used_of_domain(width, own)
    return replace(machine, domain=used), used / own


def best_service(model: Transformer, machine: Machine, values: dict[str, Any], precision: str) -> Served:
    """Return the best way to serve a model: a pool for prompts, a pool for tokens, neither waiting for the other.

    Raises
    ------
    InfeasibleError
        If no spread fits and keeps the times.
    """
    prompt, output = int(values["prompt_tokens"]), int(values["output_tokens"])
    ttft_s, tpot_s = float(values["ttft_ms"]) / 1e3, float(values["tpot_ms"]) / 1e3
    readers: list[tuple[float, Serving]] = []
    writers: list[tuple[float, Serving, int, float, str]] = []
    why: ScaleplanError | None = None
    for tp, ep in _ways(model, machine.num_accelerators):
        where, part = _fitted(machine, tp * ep)
        try:
            serving = Serving(model, where, tp, ep, precision)
            rate = prefill_tokens_per_s(serving, prompt, cached_frac=float(values.get("cached_frac") or 0.0))
            if prompt / (rate * tp) <= ttft_s:
                readers.append((rate * part, serving))
            told = decode_rate(serving, prompt + output / 2, slo_s=tpot_s)
            writers.append((told.tokens_per_s * part, serving, told.batch, told.step_s, told.bound))
        except ScaleplanError as error:
            why = error
    if not readers or not writers:
        raise InfeasibleError(
            what="no spread of this model serves within the times",
            where=f"{model.name} on {machine.name}",
            found=why.message if why else f"a prompt of {prompt:,} tokens takes longer than {ttft_s * 1e3:g} ms",
            fix="allow longer times, or take more or other accelerators",
        )
    read, reader = max(readers, key=lambda entry: entry[0])
    write, writer, batch, step_s, bound = max(writers, key=lambda entry: entry[0])
    count = machine.num_accelerators
    requests = count / (prompt / read + output / write)
    reading = requests * prompt / read
    # The cache leaves over the NICs of those that read.
    cache = prompt * kv_bytes_a_token(reader) * reader.tp
    out = machine.nic_bytes_per_s * machine.efficiency.pair_frac * reading
    if cache * requests > out:
        requests, bound = out / cache, "moving the cache"
    return Served(requests, reader, writer, reading, batch, step_s, bound)


def weigh_serving(
    design: Design,
    workload: Workload,
    num_accelerators: int,
    limits: Limits,
    assumptions: Assumptions,
    *,
    domain_study: bool,
) -> dict[str, Any]:
    """Weigh one design under one served workload at one size, as plain data; see `planner.weigh.cell.weigh_cell`.

    A step is the time of one output token; tokens are those of prompts and answers.
    """
    v = workload.values
    out: dict[str, Any] = {"design": design.name, "workload": workload.name, "accelerators": num_accelerators}
    try:
        machine = machine_on(design, num_accelerators, limits.rack_kw)
        model = find_model(v["model"])
        precision = v["precision"] if v["precision"] in machine.peak_flops_per_s else "bf16"
        count, own = num_accelerators, machine.full_domain
        found = best_service(model, machine, v, precision)
        bought = -(-count // own) * own if count >= own else count
        fabric = design.fabric()
        bought = bought if fabric is None else min(bought, fabric.num_accelerators)
        left = kept_by_service(design, count, found.width, limits.rack_kw, assumptions)
        bill = bill_of(design, bought, assumptions, limits.rack_kw, built_for=count)
    except ScaleplanError as error:
        return out | {"refused": error.message}
    a_request = int(v["prompt_tokens"]) + int(v["output_tokens"])
    rate = found.requests_per_s * a_request
    kept = rate * left.goodput_frac
    flops = (model.linear_flops_a_token() + model.attention_flops_a_token(a_request)) * rate
    decode, reading = found.decode, found.prefill
    out |= {
        "serving": True,
        "precision": precision,
        "used_of_domain": found.decode.machine.domain,
        "replica": found.width,
        "bought": bought,
        "step_s": found.tpot_s,
        "tokens_per_s": rate,
        "requests_per_s": found.requests_per_s,
        "mfu_frac": flops / (machine.peak_flops_per_s["bf16"] * count),
        "mapping": {
            "tp": decode.tp, "cp": 1, "dp": max(1, round((count - found.prefill_accelerators) / decode.tp / decode.ep)),
            "pp": 1, "ep": decode.ep, "virtual": 1, "micro_batch": found.batch, "zero": 0, "zero_bubble": False,
        },
        "recompute_frac": 0.0,
        "parts_s": {"decode_s": found.tpot_s},
        "prefill_accelerators": found.prefill_accelerators,
        "why": f"{found.prefill_accelerators:,.0f} accelerators read prompts (tp {reading.tp}, ep {reading.ep}); "
        f"{found.batch:,} sequences an accelerator, held back by {found.bound}.",
        **priced(
            design, bill, left, limits, assumptions,
            tokens=float(v["tokens"]), kept_tokens_per_s=kept, error_frac=SERVING_ERROR_FRAC,
        ),
    }  # fmt: skip
    if domain_study:

        def time_at(where: Machine) -> float:
            return 1.0 / best_service(model, where, v, precision).requests_per_s

        domain = study_domain(time_at, machine, 1.0 / found.requests_per_s)
        if "step_s_small" in domain:
            kept_small = a_request / domain.pop("step_s_small") * left.goodput_frac
            domain["break_even_bought_frac"] = kept / bought / (kept_small / count) - 1
        out["domain"] = domain
    return out


def kept_by_service(
    design: Design, count: int, width: int, rack_kw: float | None, assumptions: Assumptions
) -> Reliability:
    """Return what failures leave of a service: each takes down its unit until the repair, or its replica if larger.

    No spares stand by: what is down is a small part of the service.
    """
    cluster, assumptions = cluster_of(design, count, rack_kw), design.assumed(assumptions)
    tray = design.values.get("blast_accelerators") or cluster.accelerators_a_host
    left = reliability_of(cluster, count, assumptions, domain=tray, used=tray, tray=tray, standing_by=0)
    lost = sum(
        min(count, max(blast.accelerators, width))
        / count
        * (assumptions.restart_s / 3600 + blast.wait_h)
        / blast.mtbf_h
        for blast in left.blasts
    )
    return replace(left, goodput_frac=1 / (1 + lost), checkpoint_every_s=0.0, spares=0)
