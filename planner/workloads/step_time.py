"""Time of a training step by part: computation, what communication is left after overlap, bubble, optimizer."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from planner.workloads.compute import LayerTimes, layer_times
from planner.workloads.machine import Machine
from planner.workloads.memory import MemoryUse, memory_use, stage_params
from planner.workloads.pricing import BandwidthPricer, Pricer
from planner.workloads.training import Mappings, TrainingJob

__all__ = ["StepTimes", "step_times"]

_Floats = npt.NDArray[np.float64]

_BF16_BYTES = 2.0
# Adam reads a gradient, reads and writes master weight and two moments, writes the weight.
_OPTIMIZER_TRAFFIC_BYTES = 4.0 + 6 * 4.0 + 2.0
# Part of a hidden collective's time that the computation beside it loses: its channels hold streaming multiprocessors
# (DeepSeek-V3 keeps 20 of 132, arXiv:2412.19437, section 3.2.2) and memory bandwidth. Fitted with the generations.
_OVERLAP_TAX_FRAC = 0.25
# Tokens to experts leave in the precision of the products, and come back in bf16 (DeepSeek-V3, section 3.2.2).
_FEWEST_TO_GROUP = 512
_DISPATCH_BYTES = {"bf16": 2.0, "fp8": 2.0, "mxfp8": 2.0, "fp4": 2.0}


@dataclass(frozen=True, eq=False)
class StepTimes:
    """Seconds of a step, each ``(N,)``; the parts add up to `total_s`.

    Attributes
    ----------
    compute_s
        Layers and head, forward and backward, of the fullest stage.
    recompute_s
        Activations computed again.
    tp_s, cp_s, ep_s, pp_s, dp_s
        Exposed communication of tensor, context, expert, pipeline and data parallel groups.
    bubble_s
        Stages waiting for the pipeline to fill and drain.
    optimizer_s
        Weights brought up to date.
    memory
        What it needs.
    """

    compute_s: _Floats
    recompute_s: _Floats
    tp_s: _Floats
    cp_s: _Floats
    ep_s: _Floats
    pp_s: _Floats
    dp_s: _Floats
    bubble_s: _Floats
    optimizer_s: _Floats
    memory: MemoryUse

    @property
    def total_s(self) -> _Floats:
        """The whole step."""
        result: _Floats = sum(getattr(self, name) for name in PARTS)
        return result

    def row(self, index: int) -> dict[str, float]:
        """Return the parts of one mapping."""
        return {name: float(getattr(self, name)[index]) for name in PARTS}


PARTS = tuple(field.name for field in fields(StepTimes) if field.name.endswith("_s"))


@dataclass(frozen=True, eq=False)
class _Layer:
    """Computation and communication of an average layer, a micro-batch."""

    forward_s: _Floats
    backward_s: _Floats
    tp_s: _Floats
    cp_s: _Floats
    ep_s: _Floats


def step_times(job: TrainingJob, machine: Machine, mappings: Mappings, pricer: Pricer | None = None) -> StepTimes:
    """Return what a step takes for each of ``N`` mappings.

    Parameters
    ----------
    job, machine, mappings
        What is trained where, and how it is spread; mappings must be legal.
    pricer
        Prices collectives; by the machine's bandwidths if ``None``.
    """
    m, framework = mappings, job.framework
    price = pricer or BandwidthPricer(machine)
    times = _layers(job, machine, m)
    memory = memory_use(job, machine, m)
    layers, dense, routed, embedding = stage_params(job, m)
    layer = _average_layer(job, machine, m, times, price)
    batches = job.global_batch / (m.dp * m.micro_batch)
    forward_only = job.kind == "evaluate"
    back = 0.0 if forward_only else 1.0
    frac = memory.recompute_frac * back

    # A stage of one micro-batch: the fullest, or the last one with its fewer layers and the head.
    model_layers = job.model.layers
    head = times.head_forward_s + back * times.head_backward_s
    last_layers = model_layers - layers * (m.pp - 1)
    own = layer.forward_s + back * layer.backward_s
    last_longer = last_layers * own + head > layers * own
    even = model_layers % m.pp == 0
    stage_layers = np.where(last_longer, np.maximum(last_layers, 1.0), layers)
    stage_head = np.where(last_longer | (m.pp == 1), head, 0.0)
    # Where layers divide evenly, frameworks can still move the head's weight: it counts in full on the last stage.
    stage_layers = np.where(even, layers, stage_layers)
    stage_head = np.where(even, head, stage_head)

    compute = batches * (stage_layers * own + stage_head)
    recompute = batches * stage_layers * (frac * layer.forward_s + (1 - frac) * back * times.scores_again_s)
    passes = 1.0 + back * (1.0 + frac)
    tp = batches * stage_layers * passes * layer.tp_s
    cp = batches * stage_layers * (1.0 + back * (2.0 + frac)) * layer.cp_s
    ep = batches * stage_layers * passes * layer.ep_s
    # A framework that hides expert communication does so behind other micro-batches' layers.
    pp_hop = _hop_s(job, m, price)
    exposed_hops = np.where((m.virtual > 1) & framework.hides_pp, 0.0, batches * m.virtual)
    pp = np.where(m.pp > 1, (exposed_hops + (m.pp - 1)) * (1.0 + back) * pp_hop, 0.0)

    whole = (compute + recompute + tp + cp + ep) / batches
    weight = back * times.weight_gradient_frac * layer.backward_s * stage_layers
    saved = np.where(m.zero_bubble > 0, np.minimum(2 * weight, whole), 0.0)
    bubble = (m.pp - 1) / m.virtual * (whole - saved)

    forward_stage = stage_layers * layer.forward_s
    backward_stage = stage_layers * (layer.backward_s + frac * layer.forward_s)
    dp, tax = _data_parallel(job, m, price, (layers, dense, routed, embedding), batches, forward_stage, backward_stage)
    shard = np.where(m.zero >= 1, m.dp * m.cp, 1.0)
    expert_shard = np.where(m.zero >= 1, m.tp * m.cp * m.dp / m.ep, 1.0)
    ours = (dense + embedding) / shard + routed / expert_shard
    trains = job.kind in ("pretrain", "finetune")
    optimizer = ours * _OPTIMIZER_TRAFFIC_BYTES / (machine.memory_bytes_per_s * machine.generation.memory_frac) * trains
    return StepTimes(
        compute_s=compute,
        recompute_s=recompute,
        tp_s=tp,
        cp_s=cp,
        ep_s=ep,
        pp_s=pp,
        dp_s=dp + tax,
        bubble_s=bubble,
        optimizer_s=optimizer,
        memory=memory,
    )


def _layers(job: TrainingJob, machine: Machine, m: Mappings) -> LayerTimes:
    """Return what layers take: reckoned once for all mappings that are alike in what layers depend on."""
    if len(m) < _FEWEST_TO_GROUP:
        return layer_times(job, machine, m)
    key = np.zeros(len(m), np.int64)
    for column in (m.tp, m.cp, m.ep, m.micro_batch):
        whole = column.astype(np.int64)
        key = key * (int(whole.max()) + 1) + whole
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    few = layer_times(job, machine, m.take(first))
    return LayerTimes(**{field.name: getattr(few, field.name)[inverse] for field in fields(LayerTimes)})


def _average_layer(job: TrainingJob, machine: Machine, m: Mappings, times: LayerTimes, price: Pricer) -> _Layer:
    model, framework = job.model, job.framework
    moe = model.num_moe_layers / model.layers
    forward = times.dense_forward_s * (1 - moe) + times.moe_forward_s * moe
    backward = times.dense_backward_s * (1 - moe) + times.moe_backward_s * moe
    tokens = m.micro_batch * job.seq / m.cp
    size = tokens * model.hidden * _BF16_BYTES
    one = np.ones(len(m))
    if framework.sequence_parallel:
        block = price.time_s("all-gather", m.tp, one, size) + price.time_s("reduce-scatter", m.tp, one, size)
    else:
        block = price.time_s("all-reduce", m.tp, one, size)
    # A dense layer has two such blocks; in one with experts, the experts' exchange stands for the second.
    # Products and exchange overlap in slices through buffers that only a scale-up domain can share (Transformer Engine,
    # communication overlap with user buffers).
    tp = block * (2 - moe) * (1 - framework.tp_hidden_frac * (m.tp <= machine.domain))
    kv = tokens * model.kv_values_a_token * _BF16_BYTES / (1 if model.latent else m.tp)
    ring = (m.cp - 1) * price.time_s("send-recv", m.cp, m.tp, kv)
    cp = ring * (1 - framework.cp_hidden_frac)
    ep = np.zeros(len(m))
    if model.experts:
        copies = np.minimum(model.experts_per_token, m.ep * (1 - (1 - 1 / m.ep) ** model.experts_per_token))
        moved = tokens / m.tp * copies * model.hidden
        there = price.time_s("all-to-all", m.ep, one, moved * _DISPATCH_BYTES[job.precision])
        again = price.time_s("all-to-all", m.ep, one, moved * _BF16_BYTES)
        ep = moe * (there + again) * (1 - framework.ep_hidden_frac)
    return _Layer(forward, backward, tp, cp, ep)


def _hop_s(job: TrainingJob, m: Mappings, price: Pricer) -> _Floats:
    """Return what handing a micro-batch to the next stage takes; tensor parallel ranks carry a part each."""
    size = m.micro_batch * job.seq / m.cp * job.model.hidden * _BF16_BYTES / m.tp
    return price.time_s("send-recv", m.pp, m.tp * m.cp * m.dp, size)


def _data_parallel(
    job: TrainingJob,
    m: Mappings,
    price: Pricer,
    params: tuple[_Floats, _Floats, _Floats, _Floats],
    batches: _Floats,
    forward_s: _Floats,
    backward_s: _Floats,
) -> tuple[_Floats, _Floats]:
    """Return the exposed communication of gradients and weights, and what the hidden one takes from computation."""
    framework = job.framework
    layers, dense, routed, embedding = params
    groups = (
        (dense + embedding, m.dp * m.cp, m.tp),
        (routed, m.tp * m.cp * m.dp / m.ep, m.ep),
    )
    trains = job.kind in ("pretrain", "finetune")

    def all_groups(collective: str, bytes_a_param: float) -> _Floats:
        total = np.zeros(len(m))
        for count, ranks, stride in groups:
            if not count.any():
                continue
            total = total + price.time_s(collective, ranks, stride, count * bytes_a_param)  # type: ignore[arg-type]
        return total

    whole = m.zero < 1
    reduce_all = all_groups("all-reduce", framework.gradient_bytes) * trains if whole.any() else np.zeros(len(m))
    reduce = all_groups("reduce-scatter", framework.gradient_bytes) * trains
    gather = all_groups("all-gather", _BF16_BYTES)
    is_sharded = ~whole
    once_reduced = np.where(is_sharded, reduce, reduce_all)
    once_gathered = np.where(is_sharded, gather * trains, 0.0)
    back = 0.0 if job.kind == "evaluate" else 1.0
    if not framework.hides_dp:
        exposed = once_reduced + once_gathered
        hidden = np.zeros(len(m))
    else:
        # Buckets of a layer each: the last one to be reduced and the first one to be gathered have nothing beside them.
        exposed = np.maximum(once_reduced - backward_s, once_reduced / layers)
        exposed = exposed + np.maximum(once_gathered - forward_s, once_gathered / layers)
        hidden = once_reduced + once_gathered - exposed
    # Sharded gradients are scattered after each micro-batch; sharded weights are gathered for each too, forward and
    # backward (Rajbhandari et al. 2020, section 7).
    ahead = np.maximum(gather - forward_s, gather / layers)
    behind = np.maximum((gather + reduce) - backward_s, reduce / layers) * back
    exposed3 = batches * (ahead + behind)
    hidden3 = batches * (gather * (1 + back) + reduce * back) - exposed3
    gathered = np.maximum(once_gathered - forward_s, once_gathered / layers)
    exposed2 = gathered + batches * np.maximum(reduce - backward_s, reduce / layers) * back
    hidden2 = once_gathered + batches * reduce * back - exposed2
    exposed = np.where(m.zero >= 3, exposed3, np.where(m.zero >= 2, exposed2, exposed))
    hidden = np.where(m.zero >= 3, hidden3, np.where(m.zero >= 2, hidden2, hidden))
    return exposed, _OVERLAP_TAX_FRAC * hidden
