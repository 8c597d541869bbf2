"""Served workloads in a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from planner.weigh.cell import weigh_cell
from planner.weigh.decide import decide, tornado
from planner.weigh.serve_cell import best_service, kept_by_service
from planner.weigh.study_file import Assumptions, Study, load_study, named_study
from planner.weigh.sweep import parse_sweep, points_of, run_points
from planner.workloads.model_catalogue import find_model
from planner.workloads.serving import decode_rate, prefill_tokens_per_s
from tests.planner.workloads.machines import machine
from topologies.errors import InfeasibleError, InputError

CHAT = {"prompt_tokens": 2000, "output_tokens": 500, "ttft_ms": 2000.0, "tpot_ms": 50.0, "tokens": 1e9}


@pytest.fixture(scope="module")
def study() -> Study:
    return named_study(["hgx-h200", "gb200-nvl72"], ["llama3-70b-chat", "deepseek-v3-chat"], [144])


@pytest.fixture(scope="module")
def cells(study: Study) -> list[dict[str, object]]:
    return run_points(points_of(study), workers=1)


def test_neither_pool_waits_for_the_other() -> None:
    found = best_service(find_model("llama3-8b"), machine("h100-sxm", 64), CHAT, "fp8")
    read = prefill_tokens_per_s(found.prefill, 2000)
    write = decode_rate(found.decode, 2250, slo_s=0.05).tokens_per_s
    assert found.requests_per_s == pytest.approx(64 / (2000 / read + 500 / write))
    assert found.prefill_accelerators * read == pytest.approx(found.requests_per_s * 2000)
    assert (64 - found.prefill_accelerators) * write == pytest.approx(found.requests_per_s * 500)
    assert found.tpot_s <= 0.05


def test_shorter_times_never_give_more() -> None:
    model, where = find_model("llama3-70b"), machine("h200-sxm", 32)
    rates = [best_service(model, where, {**CHAT, "tpot_ms": t}, "fp8").requests_per_s for t in (100.0, 50.0, 25.0)]
    assert rates == sorted(rates, reverse=True)
    with pytest.raises(InfeasibleError, match="no spread of this model serves"):
        best_service(model, where, {**CHAT, "tpot_ms": 1.0}, "fp8")
    with pytest.raises(InfeasibleError, match="a prompt of 2,000 tokens takes longer than 1 ms"):
        best_service(model, where, {**CHAT, "ttft_ms": 1.0}, "fp8")


def test_slow_nics_hold_the_cache_back() -> None:
    model = find_model("llama2-70b")
    fast, slow = (machine("h200-sxm", 32, nic_bytes_per_s=rate) for rate in (50e9, 1e7))
    long = {**CHAT, "prompt_tokens": 8000, "ttft_ms": 60_000.0}
    assert best_service(model, fast, long, "fp8").bound != "moving the cache"
    held = best_service(model, slow, long, "fp8")
    assert held.bound == "moving the cache"
    assert held.requests_per_s < best_service(model, fast, long, "fp8").requests_per_s / 10


def test_replicas_fill_what_they_can_of_a_domain() -> None:
    # 64 of 72: a replica of 64 leaves 8 of each domain idle.
    found = best_service(find_model("deepseek-v3"), machine("gb200", 144), {**CHAT, "tpot_ms": 50.0}, "fp8")
    width = found.decode.tp * found.decode.ep
    assert found.decode.machine.domain == (72 // width * width if width <= 72 else found.decode.machine.domain)


def test_a_failure_takes_down_a_part_of_the_service() -> None:
    design = named_study(["hgx-h100"], ["llama3-8b"], [64]).designs[0]
    assumed = Assumptions(accelerator_mtbf_h=50_000, restart_s=3600, repair_h=24, rack_mtbf_h=1e12, leaf_mtbf_h=1e12)
    left = kept_by_service(design, 64, 8, None, assumed)
    # 64 / 50,000 failures an hour, an eighth down for 25 h each.
    assert left.goodput_frac == pytest.approx(1 / (1 + 64 / 50_000 * 8 / 64 * 25))
    assert left.spares == 0
    assert kept_by_service(design, 64, 32, None, assumed).goodput_frac < left.goodput_frac


def test_experts_want_a_larger_domain_and_a_dense_model_does_not(cells: list[dict[str, object]]) -> None:
    dense, experts = cells[2], cells[3]
    assert dense["domain"]["break_even_premium_frac"] < 0.02 < experts["domain"]["break_even_premium_frac"]  # type: ignore[index]
    for cell in cells:
        assert cell["serving"] is True
        assert cell["tokens_per_s"] == pytest.approx(  # type: ignore[comparison-overlap]
            cell["requests_per_s"] * (2560 if "70b" in str(cell["workload"]) else 5120)  # type: ignore[operator]
        )


def test_a_decision_over_served_workloads(study: Study, cells: list[dict[str, object]]) -> None:
    told = decide(study, cells)
    assert "Tokens served are good to" in told["answer"]
    assert "Days to train" not in told["answer"]
    bars = tornado(study, cells, "hgx-h200", "gb200-nvl72")
    assert bars[0]["high"] > bars[0]["low"]


def test_served_workloads_are_swept() -> None:
    points = points_of(named_study(["hgx-h100"], ["llama3-70b-chat"], [16]), parse_sweep(["tpot_ms=30,60"]))
    tight, loose = run_points(points, workers=1)
    assert tight["tokens_per_s"] < loose["tokens_per_s"]
    (point,) = points_of(named_study(["hgx-h100"], ["deepseek-v3-chat"], [4]))
    assert "no spread" in weigh_cell(point.design, point.workload, 4)["refused"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{kind: serve, model: llama3-8b, tokens: 1000, prompt_tokens: 5}", "no output_tokens"),
        ("{kind: serve, model: llama3-8b, tokens: 1000, prompt_tokens: 5, output_tokens: 5, seq: 3}", "seq"),
        ("{model: llama3-8b, tokens: 1000, seq: 5}", "no global_batch"),
        ("{model: llama3-8b, tokens: 1000, seq: 5, global_batch: 8, tpot_ms: 5}", "tpot_ms"),
    ],
)
def test_keys_of_the_other_kind_are_refused(tmp_path: Path, entry: str, words: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        f"schema_version: 1\ndesigns: {{d: {{accelerator: h100-sxm}}}}\nworkloads:\n  w: {entry}\n", encoding="utf-8"
    )
    with pytest.raises(InputError, match=f"study.yaml:4.*kind.*{words}"):
        load_study(path)


def test_served_and_trained_side_by_side(study: Study) -> None:
    both = replace(
        study,
        designs=study.designs[:1],
        workloads=(study.workloads[0], named_study(["hgx-h100"], ["llama3-8b"], [8]).workloads[0]),
    )
    told = decide(both, run_points(points_of(both), workers=1))
    assert "Days to train" in told["answer"]
    assert "Tokens served" in told["answer"]
