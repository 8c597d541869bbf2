"""Cells, bills, sweeps and decisions."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from planner.weigh.bill import bill_of, reliability_of
from planner.weigh.cell import weigh_cell
from planner.weigh.decide import decide, pareto_front, tornado
from planner.weigh.study_file import Assumptions, Design, Limits, Study, load_study, named_study
from planner.weigh.sweep import parse_sweep, points_of, run_points
from topologies.errors import InputError
from topologies.parts_catalog import load_parts


@pytest.fixture(scope="module")
def study() -> Study:
    return named_study(["hgx-b200", "gb200-nvl72"], ["llama3-8b", "deepseek-v3"], [576])


@pytest.fixture(scope="module")
def cells(study: Study) -> list[dict[str, object]]:
    return run_points(points_of(study), workers=1)


def test_a_bill_by_hand() -> None:
    # 64 accelerators at 40,000 USD on one tier of 400G: a NIC 2,500, a port 38,000 / 64, two transceivers of 1,250.
    design = Design("d", load_parts()["h100-sxm"], {"price_usd": 40_000.0, "nic_gbps": 400.0})
    bill = bill_of(design, 64, Assumptions(), rack_kw=41)
    assert bill.capital_usd == pytest.approx(
        {"accelerators": 2.56e6, "nics": 160_000, "switches": 38_000, "optics": 160_000}
    )
    # 10.2 kW a host of 8, PUE 1.25, 0.08 USD a kWh; written off in 5 years.
    assert bill.usd_per_h[1] == pytest.approx(2.918e6 / (5 * 8760) + 8 * 10.2 * 1.25 * 0.08)
    assert (bill.watts, bill.racks) == (81_600, 2)  # four hosts in 41 kW
    assert bill.usd_per_h[0] < bill.usd_per_h[1] < bill.usd_per_h[2]


def test_what_failures_leave_by_hand() -> None:
    # 1,000 accelerators of 50,000 h: one failure in 50 h = 180,000 s. Checkpoints of 25 s: every 3,000 s.
    assumed = Assumptions(accelerator_mtbf_h=50_000, checkpoint_s=25, restart_s=600, repair_h=25)
    left = reliability_of(Design("d", load_parts()["h100-sxm"]), 1000, assumed)
    assert left.mtbf_h == pytest.approx(50)
    assert left.checkpoint_every_s == pytest.approx(3000)
    assert left.goodput_frac == pytest.approx(1 / (1 + 25 / 3000 + 1500 / 180_000 + 600 / 180_000))
    # 0.5 in repair, three deviations: 0.5 + 3·0.707 = 2.6 → 3 trays of 8.
    assert left.spares == 24


def test_a_larger_domain_pays_for_experts_and_hardly_for_a_small_dense_model(cells: list[dict[str, object]]) -> None:
    dense, experts = cells[2], cells[3]
    assert dense["domain"]["break_even_premium_frac"] < 0.05 < experts["domain"]["break_even_premium_frac"]  # type: ignore[index]
    steps = list(experts["domain"]["step_s_by_domain"].values())  # type: ignore[index]
    assert steps == sorted(steps, reverse=True)


def test_experts_use_a_power_of_two_of_each_domain(cells: list[dict[str, object]]) -> None:
    assert cells[3]["used_of_domain"] == 64
    assert cells[3]["bought"] == 576 // 64 * 72


def test_the_smaller_domain_catches_up_at_the_rate_told() -> None:
    (point,) = points_of(named_study(["gb200-nvl72"], ["gpt-moe-1.8t"], [1152]))
    cell = weigh_cell(point.design, point.workload, 1152)
    rate = cell["domain"]["nic_gbps_to_catch_up"]
    assert rate > 400
    faster = weigh_cell(
        point.design.changed(scale_up_domain=8, nic_gbps=rate), point.workload, 1152, domain_study=False
    )
    assert faster["step_s"] <= cell["step_s"] * 1.0101


def test_decision_names_the_cheapest_and_its_uncertainty(study: Study, cells: list[dict[str, object]]) -> None:
    told = decide(study, cells)
    assert told["choice"] == told["ranked"][0]["design"]
    assert told["ranked"][0]["score"] <= told["ranked"][1]["score"]
    for words in ("next", "premium", "good to ±", "Prices are rent"):
        assert words in told["answer"]
    bars = tornado(study, cells, "hgx-b200", "gb200-nvl72")
    widths = [bar["high"] - bar["low"] for bar in bars]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0


def test_pareto_front_keeps_what_nothing_beats(cells: list[dict[str, object]]) -> None:
    front = pareto_front(cells)
    worse = dict(cells[0]) | {"days_to_train": cells[0]["days_to_train"] * 2, "power_kw": cells[0]["power_kw"] * 2}  # type: ignore[operator]
    assert pareto_front([*cells, worse]) == front
    assert {cells[i]["workload"] for i in front} == {"llama3-8b", "deepseek-v3"}


def test_a_design_that_breaks_a_limit_is_told_and_not_chosen(study: Study) -> None:
    limited = replace(study, limits=Limits(cooling="air", rack_kw=50))
    weighed = run_points(points_of(limited), workers=1)
    assert "needs liquid cooling" in weighed[2]["breaks"]
    told = decide(limited, weighed)
    assert told["choice"] == "hgx-b200"
    assert any("gb200-nvl72" in line for line in told["broken"])


def test_what_fits_nowhere_is_refused_in_its_cell() -> None:
    (point,) = points_of(named_study(["hgx-a100"], ["gpt-moe-1.8t"], [8]))
    cell = weigh_cell(point.design, point.workload, 8)
    assert "fits on no mapping" in cell["refused"]
    assert decide(named_study(["hgx-a100"], ["gpt-moe-1.8t"], [8]), [cell])["choice"] is None


def test_a_sweep_too_large_is_refused_with_its_count(study: Study) -> None:
    values = ",".join(str(v) for v in range(1, 1001))
    sweep = parse_sweep([f"nic_gbps={values}", f"oversubscription={values}", f"pue={values}", f"price_usd={values}"])
    with pytest.raises(InputError, match="4,000,000,000,000 points"):
        points_of(study, sweep)


@pytest.mark.parametrize("text", ["nic=3", "nic_gbps", "nic_gbps=", "nic_gbps=-1", "nic_gbps=nan", "size=1.5", "pue=a"])
def test_a_bad_sweep_is_one_clear_line(text: str) -> None:
    with pytest.raises(InputError, match="allowed:"):
        parse_sweep([text])
    with pytest.raises(InputError, match="swept twice"):
        parse_sweep(["pue=1", "pue=2"])


def test_an_interrupted_sweep_takes_up_again(study: Study, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    points = points_of(replace(study, workloads=study.workloads[:1]), parse_sweep(["nic_gbps=200,400"]))
    whole = run_points(points, journal=journal, workers=1)
    lines = journal.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    marked = json.loads(lines[0])
    marked["cell"]["step_s"] = -1.0  # shows that it is read, not reckoned again
    journal.write_text(json.dumps(marked) + "\n" + lines[1] + "\n" + lines[2][:50], encoding="utf-8")
    seen: list[tuple[int, int]] = []
    again = run_points(points, journal=journal, workers=1, say=lambda *done: seen.append(done))
    assert seen == [(2, 4), (3, 4), (4, 4)]
    assert again[0]["step_s"] == -1.0
    assert again[1:] == json.loads(json.dumps(whole[1:]))
    assert run_points(points, journal=journal, workers=1) == again


def test_a_journal_of_something_else_is_refused(study: Study, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("hello\nworld\n", encoding="utf-8")
    with pytest.raises(InputError, match="not a journal"):
        run_points(points_of(study), journal=other)


def test_processes_give_the_same(study: Study) -> None:
    points = points_of(replace(study, workloads=study.workloads[:1]), parse_sweep(["oversubscription=1,2,4,8"]))
    assert run_points(points, workers=2) == run_points(points, workers=1)


def test_a_study_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = (
        "schema_version: 1\n"
        "designs:\n  mine: {accelerator: h100-sxm, price_usd: 30000}\n"
        "workloads:\n  w: {model: llama3-8b, seq: 4096, global_batch: 64, tokens: 1000000000}\n"
        "sizes: [8]\n"
    )
    path.write_text(text, encoding="utf-8")
    (cell,) = run_points(points_of(load_study(path)))
    assert cell["cost_basis"] == "capital"
    assert math.isfinite(cell["run_usd"])
    path.write_text(text.replace("h100-sxm", "h100-sxn"), encoding="utf-8")
    with pytest.raises(InputError, match=r"study.yaml:3.*did you mean h100-sxm"):
        load_study(path)
    path.write_text(text.replace("llama3-8b", "llama3-9b"), encoding="utf-8")
    with pytest.raises(InputError, match=r"study.yaml:5.*did you mean llama3-8b"):
        load_study(path)
