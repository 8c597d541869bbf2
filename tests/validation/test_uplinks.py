"""The suite ``uplinks`` on a cluster of a test's own: four hosts, two leaves, one ring, counters written by hand."""

from pathlib import Path

import pytest

from planner.validation import SuiteReport, run_suites
from topologies.errors import InputError

_BINS = (0, 30, 60)


def _judge(folder: Path, leaf_of: dict[str, str], up_gbps: tuple[float, ...] = (6.0, 4.0)) -> SuiteReport:
    traces = folder / "traces"
    traces.mkdir()
    links = [f"{host},ens1,{leaf},{i},200" for i, (host, leaf) in enumerate(leaf_of.items())]
    (traces / "zhejiang_fabric_links.csv").write_text("\n".join(["server,nic,leaf,port,gbps", *links, ""]))
    rows = ["leaf,port,kind,t_s,in_gbps,out_gbps"]
    for t in _BINS:
        rows += [f"{leaf},{i},server,{t},10,10" for i, leaf in enumerate(leaf_of.values())]
        rows += [f"{leaf},u{k},uplink,{t},1,{up}" for leaf in ("A", "B") for k, up in enumerate(up_gbps)]
    (traces / "zhejiang_port_traffic_30s.csv").write_text("\n".join([*rows, ""]))
    return run_suites(folder, ["uplinks"]).suites[0]


def test_a_ring_in_the_order_of_names_crosses_once_a_leaf(tmp_path: Path) -> None:
    # h1 and h2 are on A, h9 and h10 on B: of the two hosts of a leaf, one sends to the other leaf.
    report = _judge(tmp_path, {"h1": "A", "h2": "A", "h9": "B", "h10": "B"})
    shares = [case for case in report.outcome.cases if case.kind.startswith("spine share")]
    assert [case.predicted for case in shares] == pytest.approx([0.5, 0.5, 0.5])
    assert [case.measured for case in shares] == pytest.approx([0.5, 0.5, 0.5])
    assert shares[0].agrees
    # of the 3 rings of 4 in random order, 1 crosses four times and 2 cross twice: (1 + 1/2 + 1/2) / 3
    assert shares[0].detail["in_random_order"] == pytest.approx(2 / 3, abs=0.1)
    busiest = next(case for case in report.outcome.cases if case.kind == "busiest uplink in a bin")
    assert busiest.measured == pytest.approx(1.2)


def test_a_ring_that_would_cross_twice_as_often_is_seen(tmp_path: Path) -> None:
    report = _judge(tmp_path, {"h1": "A", "h2": "B", "h3": "A", "h4": "B"})
    share = report.outcome.cases[0]
    assert share.predicted == pytest.approx(1.0)
    assert share.agrees is False
    assert not report.met


def test_hosts_without_like_have_no_ring(tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    traces.mkdir()
    (traces / "zhejiang_fabric_links.csv").write_text("server,nic,leaf,port,gbps\nh1,ens1,A,1,200\nh2,ens1,A,2,200\n")
    (traces / "zhejiang_port_traffic_30s.csv").write_text(
        "leaf,port,kind,t_s,in_gbps,out_gbps\nA,1,server,0,10,10\nA,2,server,0,50,50\nA,u,uplink,0,0,10\n"
    )
    with pytest.raises(InputError, match="no ring is found"):
        run_suites(tmp_path, ["uplinks"])
