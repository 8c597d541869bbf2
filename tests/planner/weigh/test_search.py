"""The search finds what enumeration finds, and says why."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from planner.weigh.candidates import Candidates, all_mappings, check_mapping
from planner.weigh.search import search
from planner.workloads.fabric_pricing import FabricPricer
from planner.workloads.machine import machine_of_fabric
from planner.workloads.memory import memory_use
from planner.workloads.step_time import step_times
from planner.workloads.training import Mappings, TrainingJob, check_mappings
from tests.planner.workloads.machines import job, machine
from topologies.errors import InfeasibleError, InputError
from topologies.files.fabric_file import load_fabric


def enumerated(work: TrainingJob, count: int) -> Mappings:
    """Every legal mapping there is, by plain loops and not by the search's own enumeration."""
    model, rows = work.model, []
    for tp, cp, pp in itertools.product(divisors(count), repeat=3):
        dp, rest = divmod(count, tp * cp * pp)
        if rest or dp < 1 or work.global_batch % dp or pp > model.layers:
            continue
        chunks = range(1, model.layers // pp + 1) if pp > 1 else (1,)
        experts = divisors(model.experts) if model.experts else (1,)
        for micro, ep, virtual, zero in itertools.product(
            divisors(work.global_batch // dp), experts, chunks, (0, 1, 2, 3)
        ):
            if zero < 2 or pp == 1:
                bubbles = (0, 1) if pp > 1 and virtual == 1 else (0,)
                rows += [(tp, cp, dp, pp, ep, virtual, micro, zero, bubble) for bubble in bubbles]
    names = ("tp", "cp", "dp", "pp", "ep", "virtual", "micro_batch", "zero", "zero_bubble")
    every = Mappings.of(**dict(zip(names, np.array(rows, np.float64).T, strict=True)))
    return every.take(np.flatnonzero(check_mappings(work, every, count)))


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


@pytest.mark.parametrize(
    ("model", "part", "count", "batch"),
    [
        ("llama3-8b", "h100-sxm", 64, 128),
        ("gpt3-175b", "a100-sxm-80g", 256, 256),
        ("nemotron4-340b", "b200-sxm", 128, 128),
        ("qwen3-30b-a3b", "gb200", 24, 96),
    ],
)
def test_search_finds_the_optimum_of_full_enumeration(model: str, part: str, count: int, batch: int) -> None:
    work, where = job(model, global_batch=batch), machine(part, count)
    everything = enumerated(work, count)
    assert len(everything) > 5_000
    times = step_times(work, where, everything).total_s
    times = np.where(memory_use(work, where, everything).fits, times, np.inf)
    assert search(work, where).step_s == pytest.approx(times.min(), rel=1e-12)


def test_the_best_few_are_those_of_the_enumeration() -> None:
    work, where = job("qwen3-235b-a22b", global_batch=512), machine("gb200", 128)
    everything = Mappings.join(list(all_mappings(work, 128)))
    times = step_times(work, where, everything).total_s
    times = np.where(memory_use(work, where, everything).fits, times, np.inf)
    found = search(work, where)
    assert found.times.total_s == pytest.approx(np.sort(times)[: len(found.mappings)], rel=1e-12)


def test_a_schedule_without_bubbles_is_found_where_it_pays() -> None:
    # Two stages of 16 layers, one micro-batch a rank and step each: the bubble is half of the step.
    work, where = job(global_batch=2), machine("h100-sxm", 2)
    found = search(work, where, candidates=Candidates(pinned=(("pp", 2), ("virtual", 1), ("tp", 1))))
    plain = search(work, where, candidates=Candidates(zero_bubble=False, pinned=(("pp", 2), ("virtual", 1), ("tp", 1))))
    assert found.mappings.zero_bubble[0] == 1
    assert plain.times.bubble_s[0] > found.times.bubble_s[0] >= 0
    assert plain.step_s - found.step_s == pytest.approx(plain.times.bubble_s[0] - found.times.bubble_s[0])


def test_gradients_shared_out_are_scattered_after_each_micro_batch() -> None:
    work, where = job(global_batch=64), machine("h100-sxm", 8)
    shared = {"tp": 1, "dp": 8, "micro_batch": 1}
    once, each = (step_times(work, where, Mappings.of(zero=level, **shared)) for level in (1, 2))
    assert each.dp_s[0] > once.dp_s[0]
    assert each.memory.gradients_bytes[0] == pytest.approx(once.memory.gradients_bytes[0] / 8)


def test_search_on_a_fabric_finds_the_optimum_of_full_enumeration() -> None:
    fabric = load_fabric("dgx-h100-superpod-1su")
    work, where = job("llama3-70b", global_batch=64), machine_of_fabric(fabric)
    where = machine("h100-sxm", 64, domain=8, nic_bytes_per_s=where.nic_bytes_per_s)
    pricer = FabricPricer.of(fabric, 64)
    tried = Candidates(most_chunks=5, most_micro_batch=2)
    everything = Mappings.join(list(all_mappings(work, 64, tried)))
    fits = memory_use(work, where, everything).fits
    times = step_times(work, where, everything.take(np.flatnonzero(fits)), pricer).total_s
    assert search(work, where, candidates=tried, pricer=pricer).step_s == pytest.approx(times.min(), rel=1e-12)


def test_enumeration_tries_every_divisor() -> None:
    everything = Mappings.join(list(all_mappings(job(global_batch=96), 12)))
    assert set(everything.dp.tolist()) == {1, 2, 3, 4, 6, 12}
    assert (everything.num_accelerators == 12).all()


def test_pinned_sizes_stay() -> None:
    found = search(job(), machine(), candidates=Candidates(pinned=(("tp", 4), ("pp", 2))))
    assert set(found.mappings.tp.tolist()) == {4}
    assert set(found.mappings.pp.tolist()) == {2}


def test_the_answer_says_why() -> None:
    found = search(job(), machine())
    assert "takes" in found.why()
    told = found.as_dict()
    assert told["mappings"][0]["step_s"] <= told["mappings"][1]["step_s"]
    assert told["legal"] >= told["fitting"] >= 1


def test_a_model_that_fits_nowhere_says_what_is_missing() -> None:
    with pytest.raises(InfeasibleError, match=r"1\.8\d+ TiB an accelerator at least; .* more accelerators"):
        search(job("megatron-1t", global_batch=8), machine(count=8))


def test_a_mapping_with_another_product_is_one_clear_line() -> None:
    with pytest.raises(InputError, match="= 32; allowed: 64"):
        check_mapping(job(), machine(), Mappings.of(tp=8, dp=4))
    with pytest.raises(InputError, match="divides heads"):
        check_mapping(job(), machine(count=96), Mappings.of(tp=3, dp=32))
    check_mapping(job(), machine(), Mappings.of(tp=8, dp=8))
