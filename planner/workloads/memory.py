"""Memory of the fullest accelerator by part, and how many layers must recompute their activations to fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.workloads.machine import Machine
from planner.workloads.training import Mappings, TrainingJob
from topologies.units import from_gib

__all__ = ["MemoryUse", "memory_use", "stage_params"]

_Floats = npt.NDArray[np.float64]

_WEIGHT_BYTES = 2.0
_FROZEN_BYTES = {"bf16": 2.0, "fp8": 1.0, "mxfp8": 1.03, "fp4": 0.56}
# Adam in mixed precision: fp32 master weight and two moments (Rajbhandari et al. 2020, ZeRO, section 3.1).
_OPTIMIZER_BYTES = 12.0
# Share of an accelerator's memory that a job can count on; the rest is fragmentation (PyTorch's allocator).
USABLE_FRAC = 0.94
# CUDA context, NCCL buffers, cuBLAS and Transformer Engine workspaces.
_BUFFER_BYTES = float(from_gib(4))
# Bytes kept of an operand of a matrix product for the backward pass.
_KEPT_BYTES = {"bf16": 2.0, "fp8": 1.0, "mxfp8": 1.03, "fp4": 0.56}
_NORM_BYTES = 2.0
_LOGIT_BYTES = 6.0


@dataclass(frozen=True, eq=False)
class MemoryUse:
    """Bytes on the fullest accelerator of each mapping, each ``(N,)``.

    Attributes
    ----------
    weights_bytes, gradients_bytes, optimizer_bytes, activations_bytes, buffers_bytes
        By part; activations after recomputation.
    recompute_frac
        Part of the layers that recompute.
    usable_bytes
        What there is.
    """

    weights_bytes: _Floats
    gradients_bytes: _Floats
    optimizer_bytes: _Floats
    activations_bytes: _Floats
    buffers_bytes: _Floats
    recompute_frac: _Floats
    usable_bytes: float

    @property
    def total_bytes(self) -> _Floats:
        """All parts together."""
        return (
            self.weights_bytes
            + self.gradients_bytes
            + self.optimizer_bytes
            + self.activations_bytes
            + self.buffers_bytes
        )

    @property
    def fits(self) -> npt.NDArray[np.bool_]:
        """Whether everything fits."""
        return self.total_bytes <= self.usable_bytes * (1 + 1e-9)


def stage_params(job: TrainingJob, m: Mappings) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Return layers of the largest stage and parameters of one rank of it: layers, dense, routed, one embedding."""
    model = job.model
    # A chunk holds whole layers, the largest as many as any.
    layers = np.ceil(model.layers / (m.pp * m.virtual)) * m.virtual
    moe_share = model.num_moe_layers / model.layers
    dense_share = 1.0 - moe_share
    a_layer = model.shared_params_a_layer * moe_share + (model.attention_params + model.dense_ffn_params) * dense_share
    dense = layers * a_layer / m.tp
    routed = layers * moe_share * model.experts * model.expert_params / m.ep
    return layers, dense, routed, model.vocab * model.hidden / m.tp


def _layer_activations(job: TrainingJob, m: Mappings) -> tuple[_Floats, _Floats]:
    """Return what one layer keeps of a micro-batch: everything, and only its input."""
    model, kept = job.model, _KEPT_BYTES[job.precision]
    tokens = m.micro_batch * job.seq / m.cp
    split = m.tp if job.framework.sequence_parallel else np.ones(len(m))
    width = model.heads * model.head_dim
    gates = 2 if model.gated else 1
    # Two norms and two residual sums, and the inputs of the two blocks.
    hidden = model.hidden * (4 * _NORM_BYTES + 2 * kept) / split
    scores = (2 * width + 2 * model.kv_heads * model.head_dim) * _NORM_BYTES / m.tp
    if model.latent is not None:
        scores = (4 * width + model.latent.query_rank + model.latent.kv_rank) * _NORM_BYTES / m.tp
    dense = model.ffn * (gates * _NORM_BYTES + kept) / m.tp
    moe = np.zeros(len(m))
    if model.experts:
        routed = model.experts_per_token / m.tp
        moe = routed * (model.hidden * (kept + _NORM_BYTES) + model.expert_ffn * (gates * _NORM_BYTES + kept))
        moe = moe + model.shared_experts * model.expert_ffn * (gates * _NORM_BYTES + kept) / m.tp
    moe_share = model.num_moe_layers / model.layers
    ffn = dense * (1 - moe_share) + moe * moe_share
    if job.kind == "lora":
        hidden = hidden * 0.6
    return tokens * (hidden + scores + ffn), tokens * model.hidden * _NORM_BYTES / split


def memory_use(job: TrainingJob, machine: Machine, m: Mappings) -> MemoryUse:
    """Return the memory that each mapping needs."""
    layers, dense, routed, embedding = stage_params(job, m)
    ends = np.where((m.pp == 1) & (not job.model.tied), 2.0, 1.0)
    shared = dense + embedding * ends
    everyone = m.dp * m.cp
    expert_ranks = m.tp * m.cp * m.dp / m.ep
    trains = job.kind in ("pretrain", "finetune")

    def sharded(bytes_a_param: float, level: int) -> _Floats:
        by, by_expert = (np.where(m.zero >= level, ranks, 1.0) for ranks in (everyone, expert_ranks))
        result: _Floats = bytes_a_param * (shared / by + routed / by_expert)
        return result

    weights = sharded(_WEIGHT_BYTES if trains else _FROZEN_BYTES[job.precision], 3)
    gradients = sharded(job.framework.gradient_bytes if trains else 0.0, 2)
    optimizer = sharded(_OPTIMIZER_BYTES if trains else 0.0, 1)
    # A sharded layer is gathered, and the next one meanwhile.
    gathered = np.where(m.zero >= 3, 2 * _WEIGHT_BYTES * (dense + routed) / layers + _WEIGHT_BYTES * embedding, 0.0)
    buffers = _BUFFER_BYTES + gathered
    whole, entry = _layer_activations(job, m)
    tokens = m.micro_batch * job.seq / m.cp
    logits = tokens * job.model.vocab / m.tp * _LOGIT_BYTES
    if job.kind == "evaluate":
        active = 2 * whole + logits
        zero = np.zeros(len(m))
        return MemoryUse(weights, zero, zero, active, buffers, zero, machine.memory_bytes * USABLE_FRAC)
    batches = job.global_batch / (m.dp * m.micro_batch)
    # Micro-batches in flight on the first stage (Korthikanti et al. 2022, section 4.2.3, and appendix C).
    in_flight = np.where(m.virtual > 1, m.pp * (1 + (m.pp - 1) / (m.pp * m.virtual)), m.pp)
    in_flight = np.minimum(in_flight, batches)
    # The last stage holds the logits, but fewer micro-batches; a single stage holds both.
    extra = np.where(m.pp == 1, logits, 0.0)
    fixed = weights + gradients + optimizer + buffers + extra
    room = machine.memory_bytes * USABLE_FRAC - fixed
    full, least = in_flight * layers * whole, in_flight * layers * entry + whole
    needed = np.clip((full - room) / np.maximum(full - least, 1.0), 0.0, 1.0)
    frac = np.where(np.isnan(m.recompute_frac), needed, m.recompute_frac)
    activations = full - frac * np.maximum(full - least, 0.0) + extra
    return MemoryUse(weights, gradients, optimizer, activations, buffers, frac, machine.memory_bytes * USABLE_FRAC)
