"""Suite ``netns``: targets on the data here, and what happens with data that does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.validation import run_suites
from topologies.errors import InputError

DATA = Path(__file__).parent / "data"

LINE = {
    "links": [["h0", "s", 8e8], ["s", "h0", 8e8], ["h1", "s", 8e8], ["s", "h1", 8e8]],
    "next_hops": {"h0": {"*": ["s"]}, "h1": {"*": ["s"]}, "s": {"h0": ["h0"], "h1": ["h1"]}},
}
HEADER = "case,queue,fabric,n_jobs,job,lib,algo,ring_dir,gap_s,ranks,size_bytes,order,t_iso_s,t_con_s"


def write(folder: Path, fabrics: object, *rows: str) -> Path:
    (folder / "netns").mkdir()
    (folder / "netns" / "fabrics.json").write_text(json.dumps(fabrics))
    (folder / "netns" / "allreduce.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


def test_targets_are_met() -> None:
    (suite,) = run_suites(DATA, ["netns"]).suites
    assert len(suite.outcome.targets) == 7
    for target in suite.outcome.targets:
        assert target.met, f"{target.metric}: {target.value} against {target.limit}"


def test_one_ring_and_a_pause_worked_out_by_hand(tmp_path: Path) -> None:
    # 100 MB/s of shaped bytes, 8948/9014 of them payload; a ring of two sends its whole buffer once each way
    write(tmp_path, {"line": LINE}, "a,fq,line,1,0,sock,ring,1,0.5,2,1000000,0 1,0.51,")
    (suite,) = run_suites(tmp_path, ["netns"]).suites
    (case,) = suite.outcome.cases
    assert case.predicted == pytest.approx(0.5 + 1e6 / (1e8 * 8948 / 9014))


def test_exchanges_by_halving_send_less_than_by_doubling(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"line": LINE},
        "a,fq,line,1,0,sock,rhd,1,0,2,1000000,0 1,0.01,",
        "b,fq,line,1,0,mpi,mpi_rd,1,0,2,1000000,0 1,0.01,",
        "c,fq,line,1,0,sock,guess,1,0,2,1000000,0 1,0.01,",
    )
    (suite,) = run_suites(tmp_path, ["netns"]).suites
    halving, doubling, unknown = suite.outcome.cases
    second = 1e6 / (1e8 * 8948 / 9014)
    assert halving.predicted == pytest.approx(second)  # half there, half back
    assert doubling.predicted == pytest.approx(second)
    assert not unknown.counts


def test_a_fifo_queue_gives_a_wider_band_than_a_fair_one(tmp_path: Path) -> None:
    def rows(queue: str) -> list[str]:
        return [f"{queue},{queue},line,2,{j},sock,ring,1,0,2,1000000,0 1,0.0101,0.0202" for j in (0, 1)]

    write(tmp_path, {"line": LINE}, *rows("fq"), *rows("fifo"))
    (suite,) = run_suites(tmp_path, ["netns"]).suites
    fair, _, fifo, _ = (case for case in suite.outcome.cases if case.kind.startswith("contended"))
    assert fair.detail["half_width_frac"] < 0.01
    # weights 2 : 1 and 1 : 2 give 2/3 and 1/3 of the link: times 3/4 and 3/2 of the fair one
    second = 2e6 / (1e8 * 8948 / 9014)
    assert fifo.detail["low"] == pytest.approx(second * 0.75, rel=0.01)
    assert fifo.detail["high"] == pytest.approx(second * 1.5, rel=0.01)


@pytest.mark.parametrize(
    ("fabrics", "row", "what"),
    [
        ({"line": LINE}, "a,fq,ring,1,0,sock,ring,1,0,2,100,0 1,1,", "unknown fabric"),
        ({"line": LINE}, "a,fq,line,2,0,sock,ring,1,0,2,100,0 1,1,", "do not follow"),
        ({"line": LINE}, "a,fq,line,1,0,sock,ring,1,0,3,100,0 1,1,", "order and ranks"),
        ({"line": LINE}, "a,fq,line,1,0,sock,ring,1,0,2,100,0 7,1,", "no way from"),
        ({"line": {"links": [["h0", "s"]]}}, "a,fq,line,1,0,sock,ring,1,0,2,100,0 1,1,", "malformed fabric"),
        ({"line": LINE | {"links": [["h0", "s", 0]]}}, "a,fq,line,1,0,sock,ring,1,0,2,100,0 1,1,", "positive rate"),
        (
            {"line": LINE | {"next_hops": {"h0": {"*": ["s"]}, "h1": {"*": ["s"]}, "s": {"*": ["h0"]}}}},
            "a,fq,line,1,0,sock,ring,1,0,2,100,0 1,1,",
            "circle",
        ),
        ([], "a,fq,line,1,0,sock,ring,1,0,2,100,0 1,1,", "not an object"),
    ],
)
def test_data_that_does_not_fit_is_refused(tmp_path: Path, fabrics: object, row: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        run_suites(write(tmp_path, fabrics, row), ["netns"])
