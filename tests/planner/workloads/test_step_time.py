"""Step time and memory: hand-worked parts, and what must hold whatever the constants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.workloads.frameworks import FRAMEWORKS
from planner.workloads.generations import generation_of, peak_flops_per_s
from planner.workloads.machine import machine_of_part, used_of_domain
from planner.workloads.memory import memory_use
from planner.workloads.step_time import PARTS, step_times
from planner.workloads.training import Mappings, check_mappings
from tests.planner.workloads.machines import job, machine
from topologies.errors import InputError
from topologies.parts import Part
from topologies.parts_catalog import load_parts


def test_parts_add_up_to_the_step() -> None:
    times = step_times(job(), machine(), Mappings.of(tp=[1, 2, 4], dp=[64, 32, 8], pp=[1, 1, 2], micro_batch=1))
    assert np.allclose(sum(getattr(times, name) for name in PARTS), times.total_s)
    assert set(times.row(0)) == set(PARTS)


def test_bubble_is_that_of_1f1b() -> None:
    # pp 4, 32 micro-batches, no communication to speak of: bubble / work = (4 − 1) / 32; with 2 chunks half of it.
    times = step_times(
        job(global_batch=32), machine(count=4), Mappings.of(pp=4, virtual=[1, 2], recompute_frac=0.0, zero=0)
    )
    work = times.compute_s + times.recompute_s + times.tp_s
    assert times.bubble_s / work == pytest.approx([3 / 32, 3 / 64])


def test_zero_bubble_waits_less() -> None:
    both = step_times(job(global_batch=32), machine(count=4), Mappings.of(pp=4, zero_bubble=[0, 1]))
    assert 0 < both.bubble_s[1] < both.bubble_s[0]


def test_weights_gradients_and_optimizer_by_hand() -> None:
    # Llama 3 8B, 8.03e9 parameters. Plain: 2 + 2 + 12 bytes each; ZeRO-1 over 8 ranks: 12/8; ZeRO-3: all of it /8.
    use = memory_use(job(), machine(count=8), Mappings.of(dp=8, zero=[0, 1, 2, 3]))
    params = job().model.params
    assert use.weights_bytes / params == pytest.approx([2, 2, 2, 0.25], rel=1e-3)
    assert use.gradients_bytes / params == pytest.approx([2, 2, 0.25, 0.25], rel=1e-3)
    assert use.optimizer_bytes / params == pytest.approx([12, 1.5, 1.5, 1.5], rel=1e-3)


def test_recomputation_is_as_little_as_fits() -> None:
    big = job(seq=32768, global_batch=64)
    use = memory_use(big, machine(count=8), Mappings.of(dp=8, zero=3))
    assert 0 < use.recompute_frac[0] < 1
    assert use.fits[0]
    assert use.total_bytes[0] == pytest.approx(use.usable_bytes)


def test_a_stage_holds_whole_layers() -> None:
    # 126 layers on 8 stages: 16 on the fullest; in 5 chunks each ceil(126 / 40) = 4 layers, 20 in all.
    plain, chunks = (
        step_times(job("llama3-405b"), machine(count=64), Mappings.of(tp=8, pp=8, virtual=v, recompute_frac=0.0))
        for v in (8, 5)
    )
    assert chunks.compute_s[0] / plain.compute_s[0] == pytest.approx(20 / 16, rel=0.06)


def test_lora_and_evaluation_are_cheaper() -> None:
    mapping = Mappings.of(dp=64, recompute_frac=0.0)
    full, lora, forward = (step_times(job(kind=kind), machine(), mapping) for kind in ("pretrain", "lora", "evaluate"))
    assert 0.6 < lora.compute_s[0] / full.compute_s[0] < 0.75
    assert 0.3 < forward.compute_s[0] / full.compute_s[0] < 0.4
    assert lora.optimizer_s[0] == forward.optimizer_s[0] == 0


def test_experts_across_a_larger_domain_cost_less() -> None:
    mixture = job("deepseek-v3", global_batch=2048)
    mapping = Mappings.of(dp=16, pp=4, ep=16, micro_batch=1)
    small, large = (step_times(mixture, machine("gb200", 64, domain=domain), mapping) for domain in (8, 64))
    assert large.ep_s[0] < 0.5 * small.ep_s[0]
    assert large.compute_s[0] == small.compute_s[0]


@settings(max_examples=40, deadline=None)
@given(
    tp=st.sampled_from([1, 2, 4, 8]),
    pp=st.sampled_from([1, 2, 4]),
    factor=st.floats(1.1, 8),
    zero=st.sampled_from([0, 1, 3]),
)
def test_more_bandwidth_never_hurts(tp: int, pp: int, factor: float, zero: int) -> None:
    mapping = Mappings.of(tp=tp, pp=pp, dp=64 // (tp * pp), zero=zero)
    slow = machine(nic_bytes_per_s=25e9)
    fast = machine(nic_bytes_per_s=25e9 * factor)
    assert step_times(job(), fast, mapping).total_s[0] <= step_times(job(), slow, mapping).total_s[0] * (1 + 1e-12)


def test_what_must_divide_is_checked() -> None:
    mappings = Mappings.of(tp=[1, 3, 1, 1], dp=[64, 1, 48, 32], pp=[1, 1, 1, 2], virtual=[1, 1, 1, 40])
    assert check_mappings(job(), mappings).tolist() == [True, False, False, False]
    assert check_mappings(job(), mappings, 64).tolist()[0]


def test_a_job_uses_an_even_share_of_each_domain() -> None:
    assert [used_of_domain(*pair) for pair in ((1024, 72), (144, 72), (8, 72), (24, 8), (7, 8))] == [64, 72, 8, 8, 7]


def test_precision_that_a_part_lacks_is_refused() -> None:
    with pytest.raises(InputError, match="does not compute in this precision"):
        peak_flops_per_s(load_parts()["a100-sxm-80g"], "fp8")
    with pytest.raises(InputError, match="no step-time constants"):
        generation_of(Part("abacus", "accelerator"))
    with pytest.raises(InputError, match="oversubscription below 1"):
        machine_of_part(load_parts()["h100-sxm"], 8, oversubscription=0.5)


def test_every_framework_tells_its_source() -> None:
    assert all(framework.source for framework in FRAMEWORKS.values())
