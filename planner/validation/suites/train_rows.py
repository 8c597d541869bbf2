"""From a row of ``measured/train.csv`` to a job, a machine and its mappings; what a row leaves blank is searched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType

from planner.validation.datadir import Row
from planner.workloads.frameworks import FRAMEWORKS, Framework
from planner.workloads.generations import peak_flops_per_s
from planner.workloads.machine import Machine, machine_of_part
from planner.workloads.model_catalogue import load_models
from planner.workloads.training import JobKind, Mappings, TrainingJob, check_mappings
from planner.workloads.transformer import Transformer
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import from_gb_per_s, from_gbps, from_gib, from_tflops

__all__ = ["TrainingCase", "part_named", "read_case"]

# Words of an accelerator's name to the catalogue's part. The 40 GB A100 has its own memory (NVIDIA A100 data sheet).
_PARTS = (
    ("a100", "a100-sxm-80g"),
    ("gb300", "gb300"),
    ("b300", "b300-sxm"),
    ("gb200", "gb200"),
    ("b200", "b200-sxm"),
    ("gh200", "gh200"),
    ("h200", "h200-sxm"),
    ("h800", "h800-sxm"),
    ("h100", "h100-sxm"),
    ("mi300x", "mi300x"),
    ("mi325x", "mi325x"),
    ("mi355x", "mi355x"),
)
_A100_40_MEMORY_GIB, _A100_40_GB_PER_S = 40, 1555

# Families of runs by the software that they name.
_FRAMEWORKS: Mapping[str, Framework] = MappingProxyType(
    {
        "Megatron-LM SC21": FRAMEWORKS["megatron-2021"],
        "Megatron-Core": FRAMEWORKS["megatron-core"],
        "MegaScale": FRAMEWORKS["megatron-2022"],
        "Llama 3 paper": FRAMEWORKS["megatron-core"],
        "Nemotron": FRAMEWORKS["megatron-core"],
        "Megatron-Bridge": FRAMEWORKS["nemo"],
        "MLPerf": FRAMEWORKS["nemo"],
        "MosaicML": FRAMEWORKS["fsdp"],
        "torchtitan": FRAMEWORKS["torchtitan"],
        "DeepSeek": FRAMEWORKS["dualpipe"],
    }
)
_CONFIG = re.compile(r"tp(\d+)pp(\d+)cp(\d+)")
_ASYNC_TP_HIDDEN_FRAC = 0.7
_CHUNKS = tuple(range(1, 13))
_WAYS = (1, 2, 4, 8)
_MICRO_BATCHES = (1, 2, 4, 8)
_SHARDS = MappingProxyType({"FULL_SHARD": 3, "SHARD_GRAD_OP": 2, "FSDP 1": 3})


@dataclass(frozen=True)
class TrainingCase:
    """One published run.

    Attributes
    ----------
    name, family, quality
        As the file says.
    job, machine
        What ran where.
    mappings
        The published way to spread it, or all ways that agree with what was published.
    tokens_per_s
        Measured tokens a second and accelerator.
    """

    name: str
    family: str
    quality: str
    job: TrainingJob
    machine: Machine
    mappings: Mappings
    tokens_per_s: float


_POWER_LIMIT = re.compile(r"(\d+)W limit")
# Rate against power limit: clock and voltage fall together near the limit, so power goes with about the square.
_RATE_OF_POWER = 0.5
_HBM2E_GB_PER_S = 2000


def part_named(text: str) -> Part | None:
    """Return the accelerator that a text names, with a power limit or memory of its own where it tells one."""
    words = text.lower()
    part_id = next((part_id for word, part_id in _PARTS if word in words), None)
    if part_id is None:
        return None
    part = load_parts()[part_id]
    if part_id == "a100-sxm-80g" and "40gb" in words:
        memory = {"memory_bytes": from_gib(_A100_40_MEMORY_GIB), "memory_bytes_per_s": from_gb_per_s(_A100_40_GB_PER_S)}
        part = replace(part, values={**part.values, **memory})
    limit = _POWER_LIMIT.search(text)
    if limit:
        share = (float(limit.group(1)) / part.number("watts")) ** _RATE_OF_POWER
        slower = {
            key: part.number(key) * share for key in ("bf16_flops_per_s", "fp8_flops_per_s") if key in part.values
        }
        if "hbm2e" in words:
            slower["memory_bytes_per_s"] = from_gb_per_s(_HBM2E_GB_PER_S)
        part = replace(part, values={**part.values, **slower})
    return part


def _model(row: Row) -> Transformer | None:
    sizes = {
        c: row.optional(c) for c in ("layers", "hidden", "heads", "kv_heads", "ffn", "vocab", "moe_ffn", "moe_experts")
    }
    if not (sizes["layers"] and sizes["hidden"] and sizes["heads"] and sizes["vocab"]):
        return None
    layers, hidden, heads, vocab = (int(sizes[c] or 0) for c in ("layers", "hidden", "heads", "vocab"))
    for known in load_models().values():
        same = (known.layers, known.hidden, known.heads, known.vocab) == (layers, hidden, heads, vocab)
        if same and known.experts == int(sizes["moe_experts"] or 0):
            return known
    if sizes["moe_experts"] or not sizes["ffn"]:
        return None  # a model with experts has more dimensions than the file gives
    plain = Transformer(
        row.text("model"), layers, hidden, heads, int(sizes["kv_heads"] or heads), hidden // heads, vocab,
        ffn=int(sizes["ffn"]), gated=False, tied=True,
    )  # fmt: skip
    stated = row.optional("params_b")
    variants = [replace(plain, gated=gated, tied=tied) for gated, tied in product((False, True), repeat=2)]
    return min(variants, key=lambda v: abs(v.params / 1e9 - stated)) if stated else plain


def _precision(row: Row, part: Part) -> str | None:
    text = row.text("precision").lower()
    told = f"{row.text('case_id')} {row.text('notes')}".lower()
    if "fp8/fp4" in text or "or fp4" in text:
        # NVIDIA's MLPerf v5.1 submissions on Blackwell compute in NVFP4, earlier ones and AMD's in fp8.
        is_fp4 = "fp4" in told or (
            "v5.1" in row.text("family") and part.vendor == "NVIDIA" and "b" in part.id.split("-")[0][:2]
        )
        return "fp4" if is_fp4 else "fp8"
    for word, precision in (
        ("nvfp4", "fp4"),
        ("mx", "mxfp8"),
        ("finer", "mxfp8"),
        ("fp8", "fp8"),
        ("bf16", "bf16"),
        ("fp16", "bf16"),
    ):
        if word in text:
            return precision
    return None


def _framework(row: Row) -> Framework | None:
    family = row.text("family")
    found = next((f for start, f in _FRAMEWORKS.items() if family.startswith(start)), None)
    notes = row.text("notes")
    if found is not None and "asyncTP" in notes:
        found = replace(found, tp_hidden_frac=_ASYNC_TP_HIDDEN_FRAC)
    if found is not None and "compile" in notes:
        found = replace(found, fused=True)
    return found


def _measured(row: Row, job: TrainingJob, machine: Machine) -> float | None:
    tokens, step, gpus = row.optional("tokens_per_s_per_gpu"), row.optional("step_time_s"), machine.num_accelerators
    if tokens:
        return tokens
    if step:
        return job.tokens_a_step / step / gpus
    rate = row.optional("tflops_per_gpu")
    flops = from_tflops(rate) if rate else None
    if flops is None and row.optional("mfu_pct"):
        flops = peak_flops_per_s(machine.part, "bf16") * row.number("mfu_pct") / 100
    if flops is None:
        return None
    a_token = job.model.training_flops_a_token(job.seq, causal=False)
    if "recomputation in FLOP count" in row.text("notes"):
        a_token *= 4 / 3
    return flops / a_token


def read_case(row: Row) -> TrainingCase | str:
    """Return the run of a row, or why it cannot be predicted from what the row says.

    Raises
    ------
    InputError
        If the row is malformed.
    """
    part = part_named(row.text("accelerator"))
    if part is None:
        return f"no part for {row.text('accelerator')}"
    model, framework, precision = _model(row), _framework(row), _precision(row, part)
    seq, batch = row.optional("seq", minimum=1), row.optional("gbs", minimum=1)
    gpus = row.integer("gpus", minimum=1)
    if model is None:
        return "the model's dimensions are not all published"
    if framework is None:
        return "the software is not known"
    if precision is None or not seq or not batch:
        return "precision, sequence or batch is not published"
    if "(megascale)" in row.text("model"):
        return "the run changes the model (parallel blocks, sliding windows)"
    kind: JobKind = "lora" if "lora" in (row.text("model") + row.text("family")).lower() else "pretrain"
    nic = row.optional("nic_gbps_per_gpu")
    domain = row.optional("nvlink_domain", minimum=1)
    machine = machine_of_part(
        part,
        gpus,
        domain=min(int(domain), gpus) if domain else min(int(part.number("scale_up_domain", 8)), gpus),
        nic_bytes_per_s=from_gbps(nic) if nic else None,
    )
    if precision not in machine.peak_flops_per_s:
        return f"{part.id} does not compute in {precision}"
    job = TrainingJob(model, int(seq), int(batch), precision, framework, kind)
    ways = list(_ways(row, job, gpus))
    if not ways:
        return "no legal mapping agrees with what is published"
    mappings = Mappings.of(**{key: [way[key] for way in ways] for key in ways[0]})
    mappings = mappings.take(check_mappings(job, mappings, gpus).nonzero()[0])
    if not len(mappings):
        return "no legal mapping agrees with what is published"
    tokens = _measured(row, job, machine)
    if not tokens:
        return "no throughput is published"
    return TrainingCase(row.text("case_id"), row.text("family"), row.text("quality"), job, machine, mappings, tokens)


def _whole(row: Row, column: str) -> int | None:
    value = row.optional(column)
    return int(value) if value else None


def _ways(row: Row, job: TrainingJob, gpus: int) -> Iterator[dict[str, float]]:
    """Yield every way that agrees with the row's columns; a blank one may be anything usual."""
    notes = row.text("notes")
    given = {c: _whole(row, c) for c in ("tp", "pp", "cp", "ep", "vp", "mbs")}
    config = _CONFIG.search(notes)
    if config:
        given |= dict(zip(("tp", "pp", "cp"), (int(g) for g in config.groups()), strict=True))
    zero = next((level for word, level in _SHARDS.items() if word in notes), job.framework.zero)
    frac = float("nan")
    if "act-ckpt True" in notes or "recomputation in FLOP count" in notes or "full AC" in notes:
        frac = 1.0
    elif "act-ckpt False" in notes:
        frac = 0.0
    product_told = row.optional("mp_product") if given["tp"] is None else None
    if given["tp"] is None and product_told is None:
        return
    ep_ways = (given["ep"],) if given["ep"] else ((1,) if not job.model.experts else (8,))
    for tp, pp, cp, ep in product(
        (given["tp"],) if given["tp"] else _WAYS,
        (given["pp"],) if given["pp"] else (_WAYS if given["tp"] is None else (1,)),
        (given["cp"],) if given["cp"] else (_WAYS if given["tp"] is None else (1,)),
        ep_ways,
    ):
        dp, rest = divmod(gpus, tp * pp * cp)
        if rest or dp < 1 or ep is None:
            continue
        told_mbs = (given["mbs"],) if given["mbs"] else _MICRO_BATCHES
        for mbs in told_mbs:
            if product_told is not None and tp * pp * cp / mbs != product_told:
                continue
            chunks = (given["vp"],) if given["vp"] else ((1,) if pp == 1 else _CHUNKS)
            for virtual in chunks:
                yield {"tp": tp, "pp": pp, "cp": cp, "dp": dp, "ep": ep, "micro_batch": mbs, "zero": zero,
                       "recompute_frac": frac, "virtual": virtual if pp > 1 else 1}  # fmt: skip
