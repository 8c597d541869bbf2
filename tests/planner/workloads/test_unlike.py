"""Serving on unlike accelerators: shares by bandwidth, layers cut by bandwidth, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from planner.workloads.model_catalogue import find_model
from planner.workloads.request_trace import Requests, serve_unlike
from planner.workloads.serving import Serving, decode_step_s
from planner.workloads.unlike import cut_layers, pool_of
from tests.planner.workloads.machines import machine
from topologies.errors import InfeasibleError, InputError


def on(part: str, model: str = "llama3-8b", precision: str = "bf16") -> Serving:
    return Serving(find_model(model), machine(part, 1), 1, 1, precision)


MIXED = [(on("a100-sxm-80g"), 2), (on("h100-sxm"), 2), (on("mi300x"), 1), (on("epyc-9654"), 4), (on("dgx-spark"), 4)]


def test_shares_follow_what_each_decodes_and_not_its_memory() -> None:
    pool = pool_of(MIXED, 1000, 1100, slo_s=0.1)
    a100, _, mi300x, cpu, _ = pool.shares
    assert sum(pool.shares) == pytest.approx(1)
    assert sum(pool.shares_by_capacity) == pytest.approx(1)
    # The processors hold most of the memory and do little of the work.
    assert max(pool.shares_by_capacity) == pool.shares_by_capacity[3] > 0.5 > 10 * cpu
    assert mi300x > a100 / 2
    assert pool.tokens_per_s == pytest.approx(sum(member.tokens_per_s for member in pool.members))
    # Shares by capacity: all wait for the member with most work for what it decodes.
    waits = min(m.tokens_per_s / s for m, s in zip(pool.members, pool.shares_by_capacity, strict=True))
    assert pool.tokens_per_s_by_capacity == pytest.approx(waits)
    assert pool.tokens_per_s_by_capacity < pool.tokens_per_s / 10


def test_one_kind_is_the_same_either_way() -> None:
    pool = pool_of([(on("h100-sxm"), 3), (on("h100-sxm"), 1)], 1000, 1100, slo_s=0.1)
    assert pool.shares == pytest.approx((0.75, 0.25))
    assert pool.tokens_per_s_by_capacity == pytest.approx(pool.tokens_per_s)


def test_members_that_cannot_are_left_out_with_the_reason() -> None:
    pool = pool_of([(on("h100-sxm"), 1), (on("jetson-agx-orin"), 4)], 1000, 1100, slo_s=0.05)
    assert pool.shares == (1.0, 0.0)
    assert "not even one sequence" in pool.members[1].refused
    with pytest.raises(InfeasibleError, match="no accelerator of the pool"):
        pool_of([(on("jetson-agx-orin"), 4)], 1000, 1100, slo_s=0.05)
    with pytest.raises(InputError, match="without replicas"):
        pool_of([(on("h100-sxm"), 0)], 1000, 1100, slo_s=0.05)


def test_layers_are_cut_so_that_the_longest_stage_is_shortest() -> None:
    devices = [on("a100-sxm-80g"), on("h100-sxm"), on("epyc-9654")]
    cut = cut_layers(devices, 1000, slo_s=0.05)
    layers = devices[0].model.layers
    assert sum(cut.layers) == sum(cut.layers_by_capacity) == layers
    each = [decode_step_s(device, cut.batch, 1000) / layers for device in devices]
    every = ((a, b, layers - a - b) for a, b in itertools.product(range(layers + 1), repeat=2) if a + b <= layers)
    best = min(max(n * t for n, t in zip(ways, each, strict=True)) for ways in every)
    assert cut.step_s == pytest.approx(best)
    assert cut.step_by_capacity_s > 3 * cut.step_s
    # Twice the bandwidth, about twice the layers.
    assert cut.layers[1] / cut.layers[0] == pytest.approx(each[0] / each[1], rel=0.2)
    assert cut.tpot_s <= 0.05


def test_a_cut_keeps_within_memory() -> None:
    # 141 GB of weights: neither holds them alone.
    cut = cut_layers([on("h100-sxm", "llama3-70b"), on("mi300x", "llama3-70b")], 1000, slo_s=0.2)
    held = cut.layers[0] / 80 * find_model("llama3-70b").params * 2
    assert held < 80 * 2**30
    with pytest.raises(InfeasibleError, match="too little memory"):
        cut_layers([on("h100-sxm", "llama3-405b"), on("mi300x", "llama3-405b")], 1000, slo_s=0.2)
    with pytest.raises(InfeasibleError, match="ms per output token"):
        cut_layers([on("epyc-9654", "llama3-70b")], 1000, slo_s=0.01)
    with pytest.raises(InputError, match="one model"):
        cut_layers([], 1000, slo_s=0.2)


def test_a_trace_is_served_within_times_by_bandwidth_and_not_by_capacity() -> None:
    count = 400
    requests = Requests(np.arange(count) / 20, np.full(count, 1000.0), np.full(count, 100.0), np.zeros(count))
    pool = pool_of(MIXED, 1000, 1050, slo_s=0.1)
    good = serve_unlike(requests, pool)
    bad = serve_unlike(requests, pool, shares=pool.shares_by_capacity)
    assert len(good.ttft_s) == count
    assert good.goodput_frac(2, 0.2) > 0.9 > 0.6 > bad.goodput_frac(2, 0.2)
