"""Serving on unlike accelerators: how requests are shared over replicas, and how one replica is cut over devices.

Decoding reads weights and caches once a token, so a device's worth is its memory *bandwidth*, and its capacity is only
a bound. Shares by capacity leave the large slow devices with the work that the fast ones wait for; shares by what each
decodes leave nobody waiting. Both are reckoned here, so that the difference is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planner.workloads.memory import USABLE_FRAC
from planner.workloads.serving import (
    BUFFER_BYTES,
    DecodeRate,
    Serving,
    decode_rate,
    decode_step_s,
    kv_bytes_a_token,
    prefill_tokens_per_s,
    weights_bytes,
)
from topologies.errors import InfeasibleError, InputError, ScaleplanError

__all__ = ["Cut", "Member", "Pool", "cut_layers", "pool_of"]

_MOST_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Member:
    """Alike replicas of a pool.

    Attributes
    ----------
    serving
        How one replica serves.
    replicas
        How many there are.
    rate
        What one accelerator of it decodes at its best batch, or ``None`` with `refused`.
    tokens_per_s
        What all replicas decode.
    prefill_tokens_per_s
        What all replicas prefill.
    capacity_bytes
        Memory of all replicas that is left for caches.
    refused
        Why it takes no part.
    """

    serving: Serving
    replicas: int
    rate: DecodeRate | None
    tokens_per_s: float
    prefill_tokens_per_s: float
    capacity_bytes: float
    refused: str = ""

    @property
    def name(self) -> str:
        """For people."""
        ways = f" tp{self.serving.tp}" if self.serving.tp > 1 else ""
        ways += f" ep{self.serving.ep}" if self.serving.ep > 1 else ""
        return f"{self.serving.machine.part.id}{ways}"


@dataclass(frozen=True, slots=True)
class Pool:
    """Replicas that share one stream of requests.

    Attributes
    ----------
    members
        Alike replicas each.
    shares, shares_by_capacity
        Part of the requests that each member takes, by what it decodes, and by the memory it has for caches.
    tokens_per_s, tokens_per_s_by_capacity
        What the pool decodes with either.
    """

    members: tuple[Member, ...]
    shares: tuple[float, ...]
    shares_by_capacity: tuple[float, ...]
    tokens_per_s: float
    tokens_per_s_by_capacity: float


def pool_of(groups: Sequence[tuple[Serving, int]], prompt_tokens: int, context_tokens: float, *, slo_s: float) -> Pool:
    """Return what unlike replicas make of one stream of requests.

    Parameters
    ----------
    groups
        How one replica serves, and how many of it there are.
    prompt_tokens, context_tokens
        Length of a prompt, and tokens in the cache of a sequence on average.
    slo_s
        Longest time per output token.

    Raises
    ------
    InputError
        If there is no replica.
    InfeasibleError
        If no member can serve.
    """
    if not groups or any(replicas < 1 for _, replicas in groups):
        raise InputError(what="a pool without replicas", found=", ".join(str(r) for _, r in groups) or "nothing")
    members = tuple(_member(serving, replicas, prompt_tokens, context_tokens, slo_s) for serving, replicas in groups)
    total = sum(member.tokens_per_s for member in members)
    if total <= 0:
        raise InfeasibleError(
            what="no accelerator of the pool can serve the model",
            found=next(member.refused for member in members),
            allowed=f"{slo_s * 1e3:g} ms per output token, within memory",
        )
    shares = tuple(member.tokens_per_s / total for member in members)
    room = sum(member.capacity_bytes for member in members)
    by_capacity = tuple(member.capacity_bytes / room for member in members)
    slowest = min(m.tokens_per_s / share for m, share in zip(members, by_capacity, strict=True) if share > 0)
    return Pool(members, shares, by_capacity, total, slowest)


def _member(serving: Serving, replicas: int, prompt_tokens: int, context_tokens: float, slo_s: float) -> Member:
    width = serving.tp * serving.ep
    try:
        rate = decode_rate(serving, context_tokens, slo_s=slo_s)
        prefill = prefill_tokens_per_s(serving, prompt_tokens) * width * replicas
    except ScaleplanError as error:
        return Member(serving, replicas, None, 0.0, 0.0, 0.0, error.message)
    left = serving.machine.memory_bytes * USABLE_FRAC - weights_bytes(serving) - BUFFER_BYTES
    return Member(serving, replicas, rate, rate.tokens_per_s * width * replicas, prefill, left * width * replicas)


@dataclass(frozen=True, slots=True)
class Cut:
    """One replica over unlike devices, in stages of whole layers.

    Attributes
    ----------
    layers, layers_by_capacity
        Layers of each device, by what it gets through and by its memory.
    batch
        Sequences of a micro-batch; as many are under way as there are devices with layers.
    step_s, step_by_capacity_s
        Time of the longest stage, with either.
    tpot_s
        Time per output token.
    tokens_per_s, tokens_per_s_by_capacity
        What the replica decodes.
    """

    layers: tuple[int, ...]
    layers_by_capacity: tuple[int, ...]
    batch: int
    step_s: float
    step_by_capacity_s: float
    tpot_s: float
    tokens_per_s: float
    tokens_per_s_by_capacity: float


def cut_layers(devices: Sequence[Serving], context_tokens: float, *, slo_s: float) -> Cut:
    """Cut a model's layers over unlike devices so that the longest stage is shortest, within each one's memory.

    The least time T for which the devices together take all layers, each as many as T and its memory allow, is found
    among the times at which a device takes one layer more; so the cut is the best there is. The batch is the largest
    power of two that keeps the time per token.

    Parameters
    ----------
    devices
        How each would serve the model by itself; one accelerator or tensor parallel group each.
    context_tokens
        Tokens in the cache of a sequence, on average.
    slo_s
        Longest time per output token.

    Raises
    ------
    InputError
        If there are no devices, or they serve different models.
    InfeasibleError
        If they have no room for the model together, or one sequence takes too long.
    """
    if not devices or len({device.model.name for device in devices}) != 1:
        raise InputError(what="one model on one device or more is cut", found=f"{len(devices)} devices")
    best: Cut | None = None
    batch = 1
    while batch <= _MOST_BATCH:
        cut = _cut(devices, context_tokens, batch)
        if cut is None or cut.tpot_s > slo_s:
            break
        best = cut if best is None or cut.tokens_per_s > best.tokens_per_s else best
        batch *= 2
    if best is None:
        first = _cut(devices, context_tokens, 1)
        raise InfeasibleError(
            what="the devices cannot serve the model together",
            where=devices[0].model.name,
            found="too little memory" if first is None else f"{first.tpot_s * 1e3:,.0f} ms per output token",
            allowed=f"{slo_s * 1e3:g} ms per output token",
            fix="add devices, take a narrower precision, or allow a longer time",
        )
    return best


def _cut(devices: Sequence[Serving], context_tokens: float, batch: int) -> Cut | None:
    """Return the best cut for one batch, or ``None`` if it does not fit."""
    total = devices[0].model.layers
    under_way = batch * len(devices)
    each = [_layer_s(device, batch, context_tokens) for device in devices]
    room = [_most_layers(device, under_way, context_tokens) for device in devices]
    if sum(min(r, total) for r in room) < total:
        return None
    times = sorted({n * t for t, r in zip(each, room, strict=True) for n in range(1, min(r, total) + 1)})
    low, high = 0, len(times) - 1
    while low < high:
        middle = (low + high) // 2
        if sum(_taken(times[middle], each, room, total)) >= total:
            high = middle
        else:
            low = middle + 1
    layers = _trimmed(_taken(times[low], each, room, total), each, total)
    by_capacity = _by_capacity(room, total)
    step = max(n * t for n, t in zip(layers, each, strict=True))
    step_capacity = max(n * t for n, t in zip(by_capacity, each, strict=True))
    hop = max(_hop_s(device, batch) for device in devices)
    stages = sum(n > 0 for n in layers)
    # A token's round is as long as all stages of it, or as the longest stage for each micro-batch under way.
    tpot = stages * (step + (hop if stages > 1 else 0.0))
    return Cut(
        layers=tuple(layers),
        layers_by_capacity=tuple(by_capacity),
        batch=batch,
        step_s=step,
        step_by_capacity_s=step_capacity,
        tpot_s=tpot,
        tokens_per_s=batch / (step + (hop if stages > 1 else 0.0)),
        tokens_per_s_by_capacity=batch / (step_capacity + hop),
    )


def _taken(time_s: float, each: Sequence[float], room: Sequence[int], total: int) -> list[int]:
    return [min(r, total, int(time_s / t + 1e-9)) for t, r in zip(each, room, strict=True)]


def _trimmed(layers: list[int], each: Sequence[float], total: int) -> list[int]:
    """Take away what is too much, from the longest stages first."""
    left = list(layers)
    for _ in range(sum(left) - total):
        longest = max((i for i in range(len(left)) if left[i]), key=lambda i: left[i] * each[i])
        left[longest] -= 1
    return left


def _by_capacity(room: Sequence[int], total: int) -> list[int]:
    """Return whole layers in proportion to room, that add up (largest remainders)."""
    exact = [total * r / sum(room) for r in room]
    layers = [min(int(x), r) for x, r in zip(exact, room, strict=True)]
    rest = sorted(range(len(room)), key=lambda i: layers[i] - exact[i])
    for i in rest[: total - sum(layers)]:
        layers[i] += 1
    return layers


def _layer_s(serving: Serving, batch: int, context_tokens: float) -> float:
    """Return a decode step's time a layer; the head is spread over them, as its weights are read once a step too."""
    return decode_step_s(serving, batch, context_tokens) / serving.model.layers


def _most_layers(serving: Serving, sequences: int, context_tokens: float) -> int:
    """Return how many layers fit with the caches of all sequences under way."""
    model = serving.model
    usable = serving.machine.memory_bytes * USABLE_FRAC - BUFFER_BYTES
    weights = weights_bytes(serving) / model.layers
    caches = sequences * context_tokens * kv_bytes_a_token(serving) / model.layers
    return max(0, int(usable / (weights + caches)))


def _hop_s(serving: Serving, batch: int) -> float:
    """Return what handing a micro-batch to the next device takes over its NIC."""
    size = batch * serving.model.hidden * 2.0
    rate = serving.machine.nic_bytes_per_s * serving.machine.efficiency.pair_frac
    return _NETWORK_S + (size / rate if rate else 0.0)


# A message from host to host through one or two switches, software included (planner.collectives: NCCL's Simple).
_NETWORK_S = 20e-6
