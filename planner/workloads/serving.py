"""Serving: what prefill and decode give on an accelerator, within memory and within a time per output token.

Prefill is the forward pass of chunks of prompts. A decode step reads every weight on the accelerator once, and each
sequence's keys and values; both by the same rooflines as training (`planner.workloads.compute`), with kernels launched
as graphs. Batches are as large as memory and the asked time per output token allow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from planner.workloads.compute import layer_times
from planner.workloads.frameworks import Framework
from planner.workloads.machine import Machine
from planner.workloads.memory import USABLE_FRAC
from planner.workloads.pricing import BandwidthPricer
from planner.workloads.training import Mappings, TrainingJob
from planner.workloads.transformer import Transformer
from topologies.errors import InfeasibleError, InputError
from topologies.units import from_gib

__all__ = [
    "BUFFER_BYTES",
    "DecodeRate",
    "Serving",
    "decode_rate",
    "decode_step_s",
    "kv_bytes_a_token",
    "prefill_tokens_per_s",
    "weights_bytes",
]

# Two micro-batches take turns, so that one computes while the other exchanges tokens (DeepSeek open-infra-index, day 6;
# SGLang, large-scale expert parallelism, May 2025).
_SERVING = Framework("serving", ep_hidden_frac=0.8, sequence_parallel=False, source="DeepSeek open-infra-index, day 6")
# Kernels of a captured graph follow each other in about a microsecond (CUDA programming guide, graphs).
_GRAPH_KERNEL_S = 1e-6
_CHUNK_TOKENS = 16_384
_WEIGHT_BYTES = {"bf16": 2.0, "fp8": 1.0, "mxfp8": 1.03, "fp4": 0.56}
_KV_BYTES = 2.0
BUFFER_BYTES = float(from_gib(6))
_DISPATCH_BYTES, _COMBINE_BYTES = 1.0, 2.0
_MOST_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Serving:
    """How a model is served.

    Attributes
    ----------
    model, machine
        What on what.
    tp, ep
        Ways of tensor and expert parallelism; experts lie on `ep` accelerators, everything else is on each of them.
    precision
        Of weights and products; the cache is in bf16.

    Raises
    ------
    InputError
        If the sizes do not divide the model.
    """

    model: Transformer
    machine: Machine
    tp: int = 1
    ep: int = 1
    precision: str = "fp8"

    def __post_init__(self) -> None:
        if self.tp < 1 or self.ep < 1 or self.model.heads % self.tp or (self.ep > 1 and not self.model.experts):
            raise InputError(
                what="the model cannot be served so",
                where=self.model.name,
                found=f"tp {self.tp}, ep {self.ep}",
                allowed=f"tp that divides {self.model.heads} heads; ep above 1 only with experts",
            )
        if self.precision not in self.machine.peak_flops_per_s:
            raise InputError(
                what="this accelerator does not compute in this precision",
                where=self.machine.name,
                found=self.precision,
                allowed=", ".join(self.machine.peak_flops_per_s),
            )

    @property
    def graph_machine(self) -> Machine:
        """The machine, kernels launched as graphs."""
        generation = replace(self.machine.generation, kernel_s=_GRAPH_KERNEL_S)
        return replace(self.machine, generation=generation)


@dataclass(frozen=True, slots=True)
class DecodeRate:
    """What decoding gives.

    Attributes
    ----------
    batch
        Sequences of one accelerator.
    step_s
        Time per output token.
    tokens_per_s
        Of one accelerator.
    bound
        What holds the batch back: ``memory``, ``time per token`` or ``the largest batch``.
    """

    batch: int
    step_s: float
    tokens_per_s: float
    bound: str


def kv_bytes_a_token(serving: Serving) -> float:
    """Return what one token keeps in the cache of one accelerator."""
    split = 1 if serving.model.latent else min(serving.tp, serving.model.kv_heads)
    return serving.model.layers * serving.model.kv_values_a_token * _KV_BYTES / split


def weights_bytes(serving: Serving) -> float:
    """Return the weights on one accelerator; embeddings and the router stay in bf16."""
    model = serving.model
    shared = (model.params - model.routed_params - model.embedding_params) / serving.tp
    routed = model.routed_params / serving.ep / (serving.tp if serving.ep == 1 else 1)
    return (shared + routed) * _WEIGHT_BYTES[serving.precision] + 2.0 * model.embedding_params / serving.tp


def _check_fits(serving: Serving) -> float:
    """Return the bytes that are left for the cache."""
    left = serving.machine.memory_bytes * USABLE_FRAC - weights_bytes(serving) - BUFFER_BYTES
    if left <= 0:
        raise InfeasibleError(
            what="the model's weights do not fit",
            where=f"{serving.model.name} on {serving.machine.name}",
            found=f"{weights_bytes(serving) / 2**30:,.0f} GiB an accelerator",
            allowed=f"{serving.machine.memory_bytes * USABLE_FRAC / 2**30:,.0f} GiB with the buffers",
            fix="more tp or ep, or a narrower precision",
        )
    return left


def _pass_s(serving: Serving, seq: int, sequences: float, *, graphs: bool) -> float:
    """Return a forward pass of some sequences an accelerator, without the output head."""
    machine, model = serving.graph_machine if graphs else serving.machine, serving.model
    job = TrainingJob(model, seq, 1, serving.precision, _SERVING, "evaluate")
    # Attention is replicated over the ranks of experts; the rows of an expert come from all of them.
    mapping = Mappings.of(tp=serving.tp, dp=serving.ep, ep=serving.ep, micro_batch=sequences)
    times = layer_times(job, machine, mapping)
    layers = model.num_dense_layers * float(times.dense_forward_s[0]) + model.num_moe_layers * float(
        times.moe_forward_s[0]
    )
    price = BandwidthPricer(machine)
    tokens = seq * sequences
    one = np.ones(1)
    size = np.array([tokens * model.hidden * 2.0])
    blocks = 2 * model.layers if serving.ep == 1 else model.layers + model.num_dense_layers
    tensor = blocks * float(price.time_s("all-reduce", serving.tp * one, one, size)[0])
    copies = serving.ep * (1 - (1 - 1 / serving.ep) ** model.experts_per_token)
    moved = tokens / serving.tp * min(model.experts_per_token, copies) * model.hidden
    exchange = sum(
        float(price.time_s("all-to-all", serving.ep * one, one, np.array([moved * width]))[0])
        for width in (_DISPATCH_BYTES, _COMBINE_BYTES)
    )
    hidden = _SERVING.ep_hidden_frac
    exposed = max(model.num_moe_layers * exchange * (1 - hidden), model.num_moe_layers * exchange - layers)
    return layers + tensor + exposed


def prefill_tokens_per_s(serving: Serving, prompt_tokens: int, *, cached_frac: float = 0.0) -> float:
    """Return prompt tokens that one accelerator takes in a second, those found in the cache included.

    Parameters
    ----------
    serving
        How.
    prompt_tokens
        Length of a prompt.
    cached_frac
        Part of it whose keys and values are in the cache already.

    Raises
    ------
    InfeasibleError
        If the weights do not fit.
    InputError
        If the prompt or the part is out of range.
    """
    if prompt_tokens < 1 or not 0 <= cached_frac < 1:
        raise InputError(
            what="a prompt has 1 token or more, and less than all of it is cached",
            found=f"{prompt_tokens} tokens, {cached_frac} cached",
        )
    _check_fits(serving)
    fresh = max(1, round(prompt_tokens * (1 - cached_frac)))
    sequences = max(1.0, _CHUNK_TOKENS / fresh)
    time = _pass_s(serving, fresh, sequences, graphs=True)
    return sequences * prompt_tokens / time / serving.tp


def decode_step_s(serving: Serving, batch: int, context_tokens: float) -> float:
    """Return the time of one output token for a batch: weights, caches, exchange, head."""
    model, machine = serving.model, serving.graph_machine
    body = _pass_s(serving, 1, float(batch), graphs=True)
    rate = machine.memory_bytes_per_s * machine.generation.memory_frac
    read = batch * context_tokens * kv_bytes_a_token(serving) / rate
    width = (
        model.score_width if model.latent is None else model.heads * (2 * model.latent.kv_rank + model.latent.rope_dim)
    )
    flops = 2.0 * batch * context_tokens * width * model.layers / serving.tp
    scores = flops / (machine.peak_flops_per_s["bf16"] * machine.generation.attention_frac["native"])
    head = max(
        2.0 * model.vocab * model.hidden / serving.tp / rate,
        2.0 * batch * model.vocab * model.hidden / serving.tp / machine.peak_flops_per_s["bf16"],
    )
    return body + max(read, scores) + head


def decode_rate(serving: Serving, context_tokens: float, *, slo_s: float = 0.1) -> DecodeRate:
    """Return the batch that gives most output tokens, and what it gives.

    Parameters
    ----------
    serving
        How.
    context_tokens
        Tokens in the cache of a sequence, on average.
    slo_s
        Longest time per output token.

    Raises
    ------
    InfeasibleError
        If the weights do not fit, or not even a batch of one keeps the time.
    """
    room = int(_check_fits(serving) // (context_tokens * kv_bytes_a_token(serving)))
    most = min(room, _MOST_BATCH)
    if most < 1 or decode_step_s(serving, 1, context_tokens) > slo_s:
        raise InfeasibleError(
            what="not even one sequence can be decoded so",
            where=f"{serving.model.name} on {serving.machine.name}",
            found=f"room for {room} sequences of {context_tokens:,.0f} tokens",
            allowed=f"{slo_s * 1e3:g} ms per output token",
            fix="more tp or ep, or a longer time",
        )
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if decode_step_s(serving, middle, context_tokens) <= slo_s else (low, middle - 1)
    step = decode_step_s(serving, low, context_tokens)
    bound = "time per token" if low < most else ("memory" if room < _MOST_BATCH else "the largest batch")
    return DecodeRate(low, step, low / step / serving.tp, bound)
