"""The suites ``pairwise`` and ``effects`` on data of a test's own: forms of claims, inferred nodes, malformed files."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.validation import run_suites
from planner.validation.record import Case, SuiteReport
from planner.validation.suites.hardware_text import nodes_in, setup_of_text
from topologies.errors import InputError

HEADER = "cluster,test,nodes,gpus_per_node,node_pair,min_bytes,max_bytes,avg_busbw_gbs,peak_busbw_gbs,source"


def run(folder: Path, name: str, text: str) -> SuiteReport:
    (folder / "measured").mkdir(exist_ok=True)
    file = {"pairwise": "pairwise.csv", "effects": "effects.yaml"}[name]
    (folder / "measured" / file).write_text(text, encoding="utf-8")
    (suite,) = run_suites(folder, [name]).suites
    return suite


def by_name(suite: SuiteReport) -> dict[str, Case]:
    return {case.name: case for case in suite.outcome.cases}


def test_nics_are_inferred_from_the_fastest_lone_pair(tmp_path: Path) -> None:
    rows = [
        f'c,sendrecv_perf,2,1,"{pair}",4194304,8589934592,{busbw},{busbw},here'
        for pair, busbw in (("a,b", 10.2), ("a,c", 10.4), ("b,c", 4.0))
    ]
    suite = run(tmp_path, "pairwise", "\n".join([HEADER, *rows]))
    assert "NICs of 100 Gbit/s inferred" in suite.outcome.notes[0]
    cases = by_name(suite)
    # 100 Gbit/s are 12.5 GB/s, of which a lone pair gets 0.84
    assert cases["c send-recv 1 a node, a,b"].predicted == pytest.approx(12.5 * 0.84, rel=0.01)
    uniform = cases["c send-recv 1 a node, 3 pairs"]
    assert (uniform.agrees, uniform.detail["slow"]) == (False, ["b,c"])


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ('c,sendrecv_perf,3,1,"a,b",1,2,3,4,s', "not a pair"),
        ('c,hypercube_perf,2,1,"a,b",1,2,3,4,s', "no such collective"),
        ('c,sendrecv_perf,2,0,"a,b",1,2,3,4,s', "gpus_per_node"),
        ('c,sendrecv_perf,2,1,"a,b",1,2,3,zero,s', "peak_busbw_gbs"),
    ],
)
def test_malformed_pairs_are_one_line(tmp_path: Path, row: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as error:
        run(tmp_path, "pairwise", f"{HEADER}\n{row}\n")
    assert "pairwise.csv:2" in error.value.message


CLAIMS = """
cases:
- id: links
  kind: link efficiency
  setup: {what: p2pBandwidthLatencyTest}
  claims: {B200_GBs: 700, B200_spec: 900}
- id: leaving
  kind: scale-up vs scale-out
  setup: {hw: "1 node (8x H100) vs 8 nodes over 8x400G InfiniBand"}
  claims: {slowdown_by_size: {1GiB: 1.4}}
- id: exchange
  kind: alltoall
  setup: {tokens: 4096, hidden: 7168, topk: 8, experts: 256}
  claims: {SM90_CX7_EP8x4: {dispatch_rdma: 60}, SM70_CX5_EP8x4: {dispatch_rdma: 1}}
- id: pairs
  kind: failure
  setup: {hw: whatever}
  claims: {busbw_by_pair: {a-b: 90.0, a-c: 45.0, b-d: 89.0}}
- id: tree
  kind: cost
  setup: {unit: Table 3}
  claims: {FT3: {endpoints: 1024, switches: 320, cost_M_usd: 5}}
- id: strange
  kind: weather
  claims: {rain_mm: 3}
"""


def test_claims_are_taken_by_their_form(tmp_path: Path) -> None:
    suite = run(tmp_path, "effects", CLAIMS)
    cases = by_name(suite)
    assert cases["links: B200_GBs"].agrees
    assert cases["exchange: SM90_CX7_EP8x4 dispatch_rdma"].agrees
    # 16-ary fat tree: 16³/4 places, 5 × 16²/4 switches
    assert (cases["tree: FT3 endpoints"].predicted, cases["tree: FT3 switches"].predicted) == (1024, 320)
    assert [cases[f"pairs: {pair}"].agrees for pair in ("a-b", "a-c", "b-d")] == [True, True, True]
    assert cases["pairs: a-c"].predicted == pytest.approx(0.5, abs=0.01)
    assert cases["strange"].why_not == "left out: no model of such a claim"
    assert cases["exchange"].detail["claims"] == ["SM70_CX5_EP8x4"]


def test_a_claim_against_the_model_is_a_miss_with_its_reason(tmp_path: Path) -> None:
    faster = CLAIMS.replace("1GiB: 1.4", "1GiB: 0.5").replace("B200_GBs: 700", "B200_GBs: 100")
    suite = run(tmp_path, "effects", faster)
    assert not suite.met
    assert by_name(suite)["leaving: 1GiB"].detail["same_direction"] is False
    assert sum("not reproduced" in note for note in suite.outcome.notes) == 2


TRAINING = """
cases:
- id: rails
  kind: topology
  setup: {scale_up_domain: 64, domains: 4, hosts: [dgx-h100], models: [llama2-7b], accelerators: 64, global_batch: 64}
  claims: {alltoall_overhead_pct_range: [8, 16], rail_only_training_time_ratio: 1.0}
- id: planes
  kind: topology
  setup: {accelerators: 128, pp: 2, ep: 8, global_batch: 512}
  claims: {mpft_tokens: 100, mrft_tokens: 101, mpft_lonely: 3}
"""


def test_claims_on_rails_and_planes(tmp_path: Path) -> None:
    cases = by_name(run(tmp_path, "effects", TRAINING))
    # 63/64 of what crosses between domains is handed on at 450 GB/s, and 3/4 of the buffer crosses at 50 GB/s.
    assert cases["rails: dgx-h100"].predicted == pytest.approx(100 * (63 / 64) * 50 / 450, rel=1e-3)
    assert cases["rails: dgx-h100"].agrees
    assert cases["rails: llama2-7b"].predicted == pytest.approx(1.0, abs=0.001)
    assert cases["planes: tokens"].measured == pytest.approx(1.01)
    assert cases["planes: tokens"].agrees
    assert cases["planes"].detail["claims"] == ["mpft_lonely"]
    slower = by_name(run(tmp_path, "effects", TRAINING.replace("time_ratio: 1.0", "time_ratio: 1.5")))
    assert slower["rails: llama2-7b"].agrees is False


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("cases: [{id: x, claims: {alltoall_overhead_pct_range: 9}}]", "no range"),
        ("cases: [{id: x, claims: {rail_only_training_time_ratio: 1}, setup: {accelerators: 0}}]", "bad accelerators"),
        ("cases: [{id: x, claims: {mpft_a: 1, mrft_a: 1}, setup: {model: gpt9}}]", "no such model"),
        ("cases: 3", "no list of cases"),
        ("cases: [{id: x}]", "not a claim"),
        ("cases: [{id: x, claims: {a: 1}, setup: 4}]", "bad setup"),
        ("cases: [{id: x, claims: {slowdown_by_size: {1GiB: 2}}}]", "no two numbers of nodes"),
        ("cases: [{id: x, claims: {H100_GBs: fast, H100_spec: 450}}]", "no number"),
        ("cases: [{id: x, claims: {busbw_by_pair: [1]}}]", "no mapping"),
        ("cases: [{id: x, claims: {gain_over_ring_or_nvlstree_pct_range: 4}}]", "no range"),
        ("cases: [{id: x, claims: {alltoall_peak_busbw_median: {x: 4}}, setup: {hw: H100}}]", "number of accelerators"),
        ("cases: [{id: x, claims: {busbw_gbps_1x4GB: 4}, setup: {hw: 8x Z80}}]", "no known accelerator"),
    ],
)
def test_malformed_claims_are_one_line(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as error:
        run(tmp_path, "effects", text)
    assert "\n" not in error.value.message


def test_hardware_is_read_out_of_text() -> None:
    setup = setup_of_text("p6-b200: 8x B200 over 8x400G EFA", nodes=4, where="here")
    assert (setup.accelerator, setup.num_ranks, setup.nics_a_host, setup.nic_gbps) == ("b200", 32, 8, 400.0)
    assert setup.network_kind == "EFA"
    half = setup_of_text("10 nodes x 8 H100", nodes=2, where="here", a_node=4)
    # a usual H100 host has a NIC of 400 Gbit/s for each accelerator
    assert (half.num_ranks, half.nics_a_host, half.nic_gbps) == (8, 4, 400.0)
    rack = setup_of_text("GB300, 4x800G RoCE rails per node", nodes=18, where="here")
    assert (rack.accelerators_a_host, rack.scale_up_domain, rack.nic_gbps) == (4, 72, 800.0)
    assert nodes_in("1 node (8x B200) vs 4-64 nodes") == [1, 4, 64]
