"""Cells, bills, sweeps and decisions."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner.weigh.bill import bill_of
from planner.weigh.cell import weigh_cell
from planner.weigh.cluster import Cluster, cluster_of, machine_on
from planner.weigh.decide import decide, pareto_front, price_break_even, tornado
from planner.weigh.failures import reliability_of
from planner.weigh.priced import kept_of
from planner.weigh.study_file import Assumptions, Design, Limits, Study, fabric_design, load_study, named_study
from planner.weigh.sweep import parse_sweep, points_of, run_points
from planner.workloads.pricing import BandwidthPricer
from topologies.bill.money import Price
from topologies.errors import InputError
from topologies.parts_catalog import load_parts


@pytest.fixture(scope="module")
def study() -> Study:
    return named_study(["hgx-b200", "gb200-nvl72"], ["llama3-8b", "deepseek-v3"], [576])


@pytest.fixture(scope="module")
def cells(study: Study) -> list[dict[str, object]]:
    return run_points(points_of(study), workers=1)


def test_a_bill_by_hand() -> None:
    # 64 accelerators at 40,000 USD with their hosts, on one switch of 64 ports of 400G: a NIC 2,500, the switch 38,000.
    design = Design("d", load_parts()["h100-sxm"], {"price_usd": 40_000.0, "nic_gbps": 400.0})
    bill = bill_of(design, 64, Assumptions(), rack_kw=41)
    assert bill.capital_usd.pop("cables") > 0
    assert bill.capital_usd == pytest.approx({"accelerators": 2.56e6, "nics": 160_000, "switches": 38_000})
    low, typical, high = bill.capital_band_usd
    cables = typical - 2.56e6 - 198_000
    assert low == pytest.approx(0.7 * typical)
    assert high == pytest.approx(1.5 * typical)
    # 10.2 kW a host of 8 and the network, PUE 1.25, 0.08 USD a kWh; written off in 5 years.
    network_watts = bill.watts - 8 * 10_200
    assert 747 < network_watts < 3000  # the switch, and both ends of 64 cables
    assert bill.usd_per_h[1] == pytest.approx(
        (2.758e6 + cables) / (5 * 8760) + (8 * 10.2 + network_watts / 1e3) * 1.25 * 0.08
    )
    assert (bill.racks, bill.network_racks) == (2, 1)  # four hosts in 41 kW
    assert bill.floor_m2 == pytest.approx(3 * 0.6 * 2.3)
    assert bill.parts == {"h100-sxm": 64, "connectx-7-400g": 64, "qm9700": 1}


def test_prices_come_from_the_parts_where_a_design_states_none() -> None:
    parts = load_parts()
    hopper = bill_of(Design("h", parts["h100-sxm"]), 8, Assumptions(host_price_frac=0.5))
    assert hopper.capital_usd["accelerators"] == 8 * parts["h100-sxm"].number("price_usd")
    assert hopper.capital_usd["hosts"] == hopper.capital_usd["accelerators"] / 2
    # A tray has a price as a whole; its NICs are in it.
    rack = bill_of(Design("r", parts["gb200"], {"accelerators_a_rack": 72}), 72, Assumptions())
    assert rack.capital_usd["hosts"] == 18 * parts["gb200-tray"].number("price_usd")
    assert {"accelerators", "nics"}.isdisjoint(rack.capital_usd)
    assert bill_of(Design("h", parts["h100-sxm"]), 8, Assumptions(price_basis="rent")).basis == "rent"
    assert bill_of(Design("g", parts["gh200"]), 8, Assumptions()).basis == "none"


def test_more_oversubscription_and_slower_nics_cost_less() -> None:
    def network(**values: float) -> float:
        capital = bill_of(Design("d", load_parts()["b200-sxm"], values), 1152, Assumptions()).capital_usd
        return sum(capital[name] for name in ("nics", "switches", "cables"))

    assert network(nic_gbps=400, oversubscription=4) < network(nic_gbps=400) < network(nic_gbps=800)
    # Two NICs of 800 Gb/s an accelerator: twice the ports at least.
    assert network(nic_gbps=1600) > 2 * network(nic_gbps=800)


def cluster(**values: float) -> Cluster:
    size, a_rack, a_leaf, leaves = (
        int(values.get(k, d)) for k, d in (("n", 1000), ("rack", 8), ("leaf", 0), ("leaves", 0))
    )
    return Cluster(size, 8, a_rack, a_leaf, a_leaf, size // 8, leaves, (), Price(), Price(), None, (), 0.0, 1, 1, 1.0)


def test_what_failures_leave_by_hand() -> None:
    # 1,000 accelerators of 50,000 h: one failure in 50 h = 180,000 s. Checkpoints of 25 s: every 3,000 s.
    assumed = Assumptions(accelerator_mtbf_h=50_000, checkpoint_s=25, restart_s=600, repair_h=25)
    left = reliability_of(cluster(), 1000, assumed, domain=8, used=8)
    assert left.mtbf_h == pytest.approx(50)
    assert left.checkpoint_every_s == pytest.approx(3000)
    assert left.goodput_frac == pytest.approx(1 / (1 + 25 / 3000 + 1500 / 180_000 + 600 / 180_000))
    # 0.5 in repair, three deviations: 0.5 + 3·0.707 = 2.6 → 3 trays of 8.
    assert left.spares == 24
    # With 8 standing by one tray is covered; with none each failure waits 25 h for its repair.
    assert reliability_of(cluster(), 1000, assumed, domain=8, used=8, standing_by=8).goodput_frac == left.goodput_frac
    waits = reliability_of(cluster(), 1000, assumed, domain=8, used=8, standing_by=0)
    assert 1 / waits.goodput_frac == pytest.approx(1 / left.goodput_frac + 25 / 50)


def test_a_domain_used_whole_goes_down_with_a_tray_and_one_with_a_spare_tray_does_not() -> None:
    assumed = Assumptions(accelerator_mtbf_h=50_000, repair_h=25)
    whole = reliability_of(cluster(n=1152), 1152, assumed, domain=72, used=72)
    spared = reliability_of(cluster(n=1152), 1024, assumed, domain=72, used=64)
    assert (whole.blasts[0].accelerators, spared.blasts[0].accelerators) == (72, 8)
    # 0.576 domains in repair: 0.576 + 3·0.759 = 2.9 → 3 domains of 72.
    assert whole.spares == 3 * 72
    # With one spare tray a domain is out when two are: m = 72/50,000·25 = 0.036, P = 1 − e^−m (1 + m) = 6.33e-4, of 16
    # domains 0.0101; 0.0101 + 3·0.1006 = 0.31 → 1 domain.
    assert spared.spares == 72


def test_racks_and_leaves_fail_too_and_are_waited_for_where_spares_are_few() -> None:
    assumed = Assumptions(
        accelerator_mtbf_h=50_000, rack_mtbf_h=1000, leaf_mtbf_h=2000, rack_repair_h=10, leaf_repair_h=4, repair_h=25
    )
    there = cluster(n=1024, rack=32, leaf=256, leaves=32)
    tray, rack, leaf = reliability_of(there, 1024, assumed, domain=8, used=8).blasts
    assert (rack.accelerators, rack.mtbf_h) == (32, pytest.approx(1000 / 32))
    assert (leaf.accelerators, leaf.mtbf_h) == (256, pytest.approx(2000 / 32))
    # 24 spares cover a tray of 8 and neither a rack of 32 nor the 256 under a leaf.
    assert (tray.wait_h, rack.wait_h, leaf.wait_h) == (0, 10, 4)
    many = reliability_of(there, 1024, assumed, domain=8, used=8, standing_by=256)
    assert [blast.wait_h for blast in many.blasts] == [0, 0, 0]
    assert many.goodput_frac > reliability_of(there, 1024, assumed, domain=8, used=8).goodput_frac


def test_what_a_leaf_and_a_rack_of_a_fabric_take_down() -> None:
    # 31 hosts of 8 on 8 rails: each of the 8 leaves has a NIC of every host; 4 hosts a rack.
    found = cluster_of(fabric_design("pod", "dgx-h100-superpod-1su"), 64)
    assert (found.accelerators, found.accelerators_a_leaf, found.leaves, found.host_racks) == (248, 248, 8, 8)
    # NICs with ports on two ToRs: a ToR cuts nothing off.
    assert cluster_of(fabric_design("hpn", "hpn-pod-15360"), 64).accelerators_a_leaf == 0


def test_a_fabric_is_weighed_as_a_design_and_agrees_with_its_figures(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = (
        "schema_version: 1\n"
        "designs:\n  fabric: {fabric: dgx-b200-superpod-4su}\n  figures: {accelerator: b200-sxm, nic_gbps: 400}\n"
        "workloads:\n  w: {model: llama3-8b, seq: 8192, global_batch: 256, tokens: 1000000000, precision: fp8}\n"
        "sizes: [256]\n"
    )
    path.write_text(text, encoding="utf-8")
    on_fabric, by_figures = run_points(points_of(load_study(path)), workers=1)
    assert on_fabric["step_s"] == pytest.approx(by_figures["step_s"], rel=0.03)
    assert on_fabric["usd_per_mtoken"]["typical"] == pytest.approx(by_figures["usd_per_mtoken"]["typical"], rel=0.05)
    for bad, words in (
        (text.replace("{fabric: dgx-b200-superpod-4su}", "{fabric: dgx-b200-superpod-4su, nic_gbps: 400}"), "itself"),
        (text.replace("{fabric: dgx-b200-superpod-4su}", "{cooling: air}"), "one of the two"),
        (text.replace("dgx-b200-superpod-4su", "dgx-b200-superpod-5su"), "neither a file nor a fabric"),
    ):
        path.write_text(bad, encoding="utf-8")
        with pytest.raises(InputError, match=words):
            load_study(path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="cannot be swept over what the fabric says"):
        points_of(load_study(path), parse_sweep(["nic_gbps=200,400"]))
    (large, _) = run_points(points_of(replace(load_study(path), sizes=(2048,))), workers=1)
    assert "the fabric has too few accelerators" in large["refused"]


def test_limits_of_floor_and_supply(study: Study) -> None:
    limits = Limits(floor_m2=5, available_by="2026-06", supply=(("b200-sxm", (("2026-01", 64), ("2027-01", 9999))),))
    (point, *_) = points_of(replace(study, limits=limits, workloads=study.workloads[:1]))
    cell = weigh_cell(point.design, point.workload, 64, limits, domain_study=False)
    assert any("m² of floor, allowed 5" in line for line in cell["breaks"])
    assert any("b200-sxm, 64 to be had by 2026-06" in line for line in cell["breaks"])
    later = replace(limits, available_by="2027-01", floor_m2=None)
    assert weigh_cell(point.design, point.workload, 64, later, domain_study=False)["breaks"] == []


def test_a_larger_domain_pays_for_experts_and_hardly_for_a_small_dense_model(cells: list[dict[str, object]]) -> None:
    dense, experts = cells[2], cells[3]
    assert dense["domain"]["break_even_premium_frac"] < 0.05 < experts["domain"]["break_even_premium_frac"]  # type: ignore[index]
    steps = list(experts["domain"]["step_s_by_domain"].values())  # type: ignore[index]
    assert steps == sorted(steps, reverse=True)


def test_experts_use_a_power_of_two_of_each_domain(cells: list[dict[str, object]]) -> None:
    assert cells[3]["used_of_domain"] == 64
    assert cells[3]["bought"] == 576 // 64 * 72


def test_premium_an_accelerator_bought_counts_what_stands_by(cells: list[dict[str, object]]) -> None:
    # 64 of 72 are used: 576 of 648 work, where domains of 8 need but few spares.
    domain = cells[3]["domain"]
    assert domain["break_even_bought_frac"] < domain["break_even_premium_frac"]  # type: ignore[index]
    by_hand = (1 + domain["break_even_premium_frac"]) * 576 / 648  # type: ignore[index]
    assert 1 + domain["break_even_bought_frac"] == pytest.approx(by_hand, rel=0.06)  # type: ignore[index]
    assert "step_s_small" not in domain  # type: ignore[operator]


def test_a_leaf_joins_as_many_accelerators_as_its_network_says() -> None:
    # 64 ports a leaf: 32 hosts of 8 at no oversubscription, 48 at 4:1 (48 down, 12 up).
    design = named_study(["hgx-b200"], ["deepseek-v3"], [1152]).designs[0]
    assert machine_on(design, 1152).leaf_accelerators == 32 * 8
    thin = machine_on(design.changed(oversubscription=4.0), 1152)
    assert (thin.leaf_accelerators, thin.oversubscription) == (48 * 8, 4.0)
    assert machine_on(design.changed(leaf_accelerators=64), 1152).leaf_accelerators == 64
    size, one = np.array([2.0**30]), np.ones(1)
    full = BandwidthPricer(machine_on(design, 1152)).time_s("all-to-all", 1024 * one, one, size)
    assert BandwidthPricer(thin).time_s("all-to-all", 1024 * one, one, size) > 2 * full


def test_memory_of_the_fullest_accelerator_is_told(cells: list[dict[str, object]]) -> None:
    memory = dict(cells[0]["memory_bytes"])  # type: ignore[call-overload]
    assert memory.pop("usable") >= sum(memory.values()) > 0


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
    for words in ("next", "premium", "good to ±", "Prices are capital"):
        assert words in told["answer"]
    bars = tornado(study, cells, "hgx-b200", "gb200-nvl72")
    widths = [bar["high"] - bar["low"] for bar in bars]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 0


def test_the_price_at_which_both_are_as_cheap(study: Study, cells: list[dict[str, object]]) -> None:
    told = decide(study, cells)
    first, second = (entry["design"] for entry in told["ranked"])
    rise = told["price_break_even_frac"]
    assert rise > 0
    # By hand: with its capital so much higher, the first costs as much a token as the second.
    dearer = []
    for cell in cells:
        if cell["design"] == first:
            hourly = cell["run_usd"] / cell["days_to_train"] / 24  # type: ignore[operator]
            capital = cell["capital_band_usd"]["typical"] / (5 * 8760)  # type: ignore[index]
            price = cell["usd_per_mtoken"]["typical"] * (hourly + rise * capital) / hourly  # type: ignore[index]
            other = next(c for c in cells if (c["design"], c["workload"]) == (second, cell["workload"]))
            dearer.append(price / other["usd_per_mtoken"]["typical"])  # type: ignore[index]
    assert math.prod(dearer) == pytest.approx(1)
    assert f"before {second} were as cheap" in told["answer"]
    assert price_break_even(study, cells, second, first) < 0


def test_a_design_may_state_how_often_its_part_fails() -> None:
    design = named_study(["hgx-b200"], ["llama3-8b"], [64]).designs[0]
    weak = replace(design, values={**design.values, "accelerator_mtbf_h": 5_000.0})
    usual, often = (kept_of(d, 64, 64, 8, 8, None, Assumptions())[1] for d in (design, weak))
    assert often.mtbf_h < usual.mtbf_h / 5
    assert often.goodput_frac < usual.goodput_frac


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
