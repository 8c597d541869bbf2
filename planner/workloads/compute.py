"""Time of one layer's computation on one accelerator: matrix products by a roofline, attention, what lies between.

A product takes its operations at the sustained rate and its bytes at the memory's: the two are added, as the tail of
one wave of tiles hides little of the next one's loads. Kernels between products are bound by memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.workloads.machine import Machine
from planner.workloads.training import Mappings, TrainingJob

__all__ = ["LayerTimes", "layer_times"]

_Floats = npt.NDArray[np.float64]

_BF16_BYTES = 2.0
_FP32_BYTES = 4.0
_OPERAND_BYTES = {"bf16": 2.0, "fp8": 1.0, "mxfp8": 1.03, "fp4": 0.56}
# Casting an operand to a narrow format: read in bf16, written twice (as it is and transposed), and its largest value
# found on the way (NVIDIA Transformer Engine, fp8 primer).
_CAST_BYTES = {"bf16": 0.0, "fp8": 4.0, "mxfp8": 4.1, "fp4": 5.2}

# Passes over a token's hidden vector in one layer, forward: two norms (read and write), two residual sums (two reads, a
# write). Backward takes twice as many.
_HIDDEN_PASSES = 2 * 2 + 2 * 3
# Passes over each routed copy of a token: permuted (read, write), weighted and summed back (read, write).
_ROUTED_PASSES = 4
# Bytes a score that is written out, forward: scores, softmax in and out, dropout and its mask (Korthikanti et al. 2022:
# 5 bytes kept; written and read once more each).
_UNFUSED_SCORE_BYTES = 11.0
# Bytes a logit: written in bf16, raised to fp32, maximum, sum, gradient.
_LOGIT_BYTES = 18.0
_BACKWARD_PASSES = 2.0
# Kernels that PyTorch does not fuse: casts, biases, dropout and activations each read and write once more.
_EAGER_FACTOR = 1.75
# Fused attention does 2 products forward and 5 backward (Dao 2023, arXiv:2307.08691).
_FUSED_BACKWARD_PRODUCTS = 2.5
# Kernels of a layer, forward: norms, products, rotations, attention, activation, sums and what is launched in between;
# permuting and gathering tokens; casts with their largest values and scales.
_KERNELS_FORWARD, _KERNELS_MOE_FORWARD, _KERNELS_NARROW_FORWARD = 30, 10, 20
# Kernels that each local expert adds, forward: its products, and casts and scales where the precision is narrow, as
# Transformer Engine's grouped linear layers launch them.
_KERNELS_AN_EXPERT, _KERNELS_A_NARROW_EXPERT = 5, 9


@dataclass(frozen=True, eq=False)
class LayerTimes:
    """Seconds of one micro-batch on one accelerator, each ``(N,)``.

    Attributes
    ----------
    dense_forward_s, moe_forward_s, head_forward_s
        Of a dense layer, a layer with experts, and the output head with the loss.
    dense_backward_s, moe_backward_s, head_backward_s
        Backward, without recomputation.
    weight_gradient_frac
        Part of the backward time that weight gradients take.
    scores_again_s
        Attention scores of a layer computed again for the backward pass, where the framework does not keep them.
    """

    dense_forward_s: _Floats
    dense_backward_s: _Floats
    moe_forward_s: _Floats
    moe_backward_s: _Floats
    head_forward_s: _Floats
    head_backward_s: _Floats
    weight_gradient_frac: _Floats
    scores_again_s: _Floats


class _Products:
    """Matrix products on one machine in one precision."""

    def __init__(self, machine: Machine, precision: str) -> None:
        self.rate = machine.peak_flops_per_s[precision] * machine.generation.gemm_frac[precision]
        self.memory = machine.memory_bytes_per_s * machine.generation.memory_frac
        self.operand = _OPERAND_BYTES[precision]

    def times_s(
        self, m: _Floats, k: _Floats, n: _Floats, count: _Floats | float = 1.0
    ) -> tuple[_Floats, _Floats, _Floats]:
        """Return forward, input gradient and weight gradient of ``count`` products ``m × k`` by ``k × n``."""
        flops = 2.0 * m * k * n * count / self.rate
        left, right, out = m * k * count, k * n * count, m * n * count
        forward = flops + (self.operand * (left + right) + _BF16_BYTES * out) / self.memory
        inputs = flops + (self.operand * (out + right) + _BF16_BYTES * left) / self.memory
        weights = flops + (self.operand * (out + left) + 2 * _FP32_BYTES * right) / self.memory
        return forward, inputs, weights


def layer_times(job: TrainingJob, machine: Machine, mappings: Mappings) -> LayerTimes:
    """Return what layers take.

    Parameters
    ----------
    job, machine
        What runs where.
    mappings
        ``N`` ways to spread it.
    """
    model, m = job.model, mappings
    generation = machine.generation
    products = _Products(machine, job.precision)
    tokens = m.micro_batch * job.seq / m.cp
    one = np.ones(len(m))
    hidden = model.hidden * one
    split = m.tp if job.framework.sequence_parallel else one

    # Attention block.
    forward, inputs, weights = np.zeros(len(m)), np.zeros(len(m)), np.zeros(len(m))
    query_width = model.heads * model.head_dim
    if model.latent is None:
        shapes = [
            (hidden, (query_width + 2 * model.kv_heads * model.head_dim) / m.tp),
            (query_width / m.tp, hidden),
        ]
    else:
        latent = model.latent
        shapes = [
            (hidden, (latent.query_rank + latent.kv_rank + latent.rope_dim) * one),
            (latent.query_rank * one, model.heads * (model.head_dim + latent.rope_dim) / m.tp),
            (latent.kv_rank * one, model.heads * (model.head_dim + latent.value_dim) / m.tp),
            (model.heads * latent.value_dim / m.tp, hidden),
        ]
    for k, n in shapes:
        f, i, w = products.times_s(tokens, k, n)
        forward, inputs, weights = forward + f, inputs + i, weights + w
    scores_forward, scores_backward = _attention_s(job, machine, m)
    hidden_bytes = _HIDDEN_PASSES * _BF16_BYTES * model.hidden / split
    qkv_bytes = 2 * _BF16_BYTES * (query_width + model.kv_heads * model.head_dim) / m.tp
    cast = _CAST_BYTES[job.precision]
    eager = 1.0 if job.framework.fused else _EAGER_FACTOR
    between = (
        tokens * (eager * (hidden_bytes + qkv_bytes) + cast * (model.hidden + query_width / m.tp)) / products.memory
    )
    attention = forward + between + scores_forward
    attention_back = inputs + _BACKWARD_PASSES * between + scores_backward
    gap = generation.kernel_s
    kernels = _KERNELS_FORWARD + (_KERNELS_NARROW_FORWARD if job.precision != "bf16" else 0)

    # Feed-forward blocks.
    gates = 2 if model.gated else 1
    dense_f = dense_b = dense_w = np.zeros(len(m))
    if model.num_dense_layers:
        f1, i1, w1 = products.times_s(tokens, hidden, gates * model.ffn / m.tp)
        f2, i2, w2 = products.times_s(tokens, model.ffn / m.tp, hidden)
        act = tokens * (eager * (gates + 1) * _BF16_BYTES * model.ffn / m.tp + cast * (model.hidden + model.ffn / m.tp))
        act = act / products.memory
        dense_f = f1 + f2 + act
        dense_b = i1 + i2 + _BACKWARD_PASSES * act
        dense_w = w1 + w2
    moe_f = moe_b = moe_w = np.zeros(len(m))
    if model.num_moe_layers:
        moe_f, moe_b, moe_w = _experts_s(job, machine, m, products, tokens, split)

    # Output head, in bf16.
    head_products = _Products(machine, "bf16")
    hf, hi, hw = head_products.times_s(tokens, hidden, model.vocab / m.tp)
    loss = _LOGIT_BYTES * tokens * model.vocab / m.tp / products.memory

    if job.kind == "lora":
        weights, dense_w, moe_w, hw = (0.0 * x for x in (weights, dense_w, moe_w, hw))
    dense_back = attention_back + dense_b + weights + dense_w + 2 * kernels * gap
    an_expert = _KERNELS_AN_EXPERT + (_KERNELS_A_NARROW_EXPERT if job.precision != "bf16" else 0)
    moe_kernels = kernels + _KERNELS_MOE_FORWARD + an_expert * model.experts / m.ep
    moe_back = attention_back + moe_b + weights + moe_w + 2 * moe_kernels * gap
    with np.errstate(invalid="ignore"):
        share = np.where(
            model.num_moe_layers > model.num_dense_layers,
            (weights + moe_w) / moe_back,
            (weights + dense_w) / dense_back,
        )
    return LayerTimes(
        dense_forward_s=attention + dense_f + kernels * gap,
        dense_backward_s=dense_back,
        moe_forward_s=attention + moe_f + moe_kernels * gap,
        moe_backward_s=moe_back,
        head_forward_s=hf + loss / 2,
        head_backward_s=hi + hw + loss / 2,
        weight_gradient_frac=share,
        scores_again_s=np.zeros(len(m)) if job.framework.fused_attention else scores_forward,
    )


def _attention_s(job: TrainingJob, machine: Machine, m: Mappings) -> tuple[_Floats, _Floats]:
    """Return the time of attention scores of a micro-batch in one layer, forward and backward."""
    model, fused = job.model, job.framework.fused_attention
    tokens = m.micro_batch * job.seq / m.cp
    attended = job.seq / 2 if fused else float(job.seq)
    flops = 2.0 * tokens * attended * model.score_width / m.tp
    peak = machine.peak_flops_per_s["bf16"]
    if fused:
        forward = flops / (peak * machine.generation.attention_frac[job.framework.attention])
        return forward, _FUSED_BACKWARD_PRODUCTS * forward
    memory = machine.memory_bytes_per_s * machine.generation.memory_frac
    written = _UNFUSED_SCORE_BYTES * tokens * job.seq * model.heads / m.tp / memory
    forward = flops / (peak * machine.generation.gemm_frac["bf16"]) + written
    return forward, 2.0 * forward


def _experts_s(
    job: TrainingJob, machine: Machine, m: Mappings, products: _Products, tokens: _Floats, split: _Floats
) -> tuple[_Floats, _Floats, _Floats]:
    """Return forward, input gradient and weight gradient of a feed-forward block with experts, balanced."""
    model, one = job.model, np.ones(len(m))
    gates = 2 if model.gated else 1
    own = tokens / m.tp
    local = model.experts / m.ep
    rows = own * model.experts_per_token / local
    hidden, width = model.hidden * one, model.expert_ffn * one
    f1, i1, w1 = products.times_s(rows, hidden, gates * width, local)
    f2, i2, w2 = products.times_s(rows, width, hidden, local)
    routed = own * model.experts_per_token
    cast = _CAST_BYTES[job.precision]
    moved = routed * (
        _ROUTED_PASSES * _BF16_BYTES * model.hidden
        + (gates + 1) * _BF16_BYTES * model.expert_ffn
        + cast * (model.hidden + model.expert_ffn)
    )
    router = own * (2.0 * model.hidden * model.experts) / (machine.peak_flops_per_s["bf16"] / 4)
    between = moved / products.memory + router
    forward, inputs, weights = f1 + f2 + between, i1 + i2 + _BACKWARD_PASSES * between, w1 + w2
    if model.shared_experts:
        shared = model.shared_experts * model.expert_ffn
        f1, i1, w1 = products.times_s(tokens, hidden, gates * shared / m.tp)
        f2, i2, w2 = products.times_s(tokens, shared / m.tp, hidden)
        act = tokens * ((gates + 1) * _BF16_BYTES * shared / m.tp + cast * (model.hidden + shared / m.tp))
        act = act / products.memory
        forward, inputs, weights = forward + f1 + f2 + act, inputs + i1 + i2 + _BACKWARD_PASSES * act, weights + w1 + w2
    return forward, inputs, weights
