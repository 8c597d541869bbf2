from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from planner.validation import Case, DataDir, SuiteOutcome, SuiteReport, Target, run_suites, validate_command
from topologies.errors import InputError

ASTRA_HEADER = (
    "backend,topology,dims,bandwidth_GBps_2p30,latency_ns,"
    "algorithm,collective,splits,active,bytes,npus,simulated_us,wall_s\n"
)
# 2 ranks, 1 GiB/s, all-reduce by ring of 2 GiB: two steps of 1 GiB each, 1 s + 1000 ns + 1 ns, and 1 ns at the end.
ASTRA_ROW = "unaware,Ring,2,1,1000,ring,all_reduce,1,1,2147483648,2,2000002.003,0.1\n"


def write_astra(directory: Path, text: str = ASTRA_HEADER + ASTRA_ROW) -> Path:
    (directory / "astra").mkdir(exist_ok=True)
    (directory / "astra" / "collectives.csv").write_text(text)
    return directory


def test_a_suite_runs_on_rows_it_has_never_seen(tmp_path: Path) -> None:
    report = run_suites(write_astra(tmp_path), ["astra"]).as_dict()
    (suite,) = report["suites"]
    assert (suite["name"], suite["cases"]) == ("astra", 1)
    assert suite["max_error_frac"] < 1e-12
    assert suite["rows"][0]["measured"] == 2000002.003


def test_gzipped_files_read_the_same(tmp_path: Path) -> None:
    (tmp_path / "astra").mkdir()
    (tmp_path / "astra" / "collectives.csv.gz").write_bytes(gzip.compress((ASTRA_HEADER + ASTRA_ROW).encode()))
    assert run_suites(tmp_path, ["astra"]).suites[0].errors() == pytest.approx([0.0], abs=1e-12)


def test_suites_without_files_are_skipped_aloud(tmp_path: Path) -> None:
    said: list[str] = []
    report = run_suites(write_astra(tmp_path), ["astra", "smpi"], say=said.append)
    assert report.skipped == {"smpi": ["smpi/allreduce.csv"]}
    assert any("skipped smpi" in line and "smpi/allreduce.csv" in line for line in said)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty data file"),
        ("a,b\n1,2\n", "no column 'topology'"),
        (ASTRA_HEADER + ASTRA_ROW.replace("2147483648", "lots"), "bad bytes"),
        (ASTRA_HEADER + ASTRA_ROW.replace("2147483648", "nan"), "bad bytes"),
        (ASTRA_HEADER + ASTRA_ROW.replace(",2,1,1000,", ",2x2,1,1000,"), "one a dimension"),
        (ASTRA_HEADER + "unaware,Ring\n", "row ends before column"),
        (ASTRA_HEADER + ASTRA_ROW.strip() + ",7\n", "more fields than columns"),
        (ASTRA_HEADER + '"unaware,Ring\n', "not a CSV file"),
        ("\0\0\0", "not a CSV file"),
    ],
)
def test_malformed_files_give_one_clear_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        run_suites(write_astra(tmp_path, text), ["astra"])
    assert words in str(caught.value)
    assert "collectives.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_suite_that_breaks_off_leaves_the_others_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_astra(tmp_path)
    (tmp_path / "smpi").mkdir()
    (tmp_path / "smpi" / "allreduce.csv").write_text("a,b\n1,2\n")
    assert validate_command(tmp_path, ["smpi", "astra"], as_json=True) == 2
    shown = json.loads(capsys.readouterr().out)
    assert [suite["name"] for suite in shown["suites"]] == ["astra"]
    assert not shown["met"]
    (failed,) = shown["failed"]
    assert failed["name"] == "smpi"
    assert "allreduce.csv" in failed["error"]
    assert validate_command(tmp_path, ["smpi", "astra"]) == 2
    assert "smpi BROKE OFF: " in capsys.readouterr().out


def test_not_gzip_and_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "astra").mkdir()
    path = tmp_path / "astra" / "collectives.csv.gz"
    path.write_bytes(b"plain text")
    with pytest.raises(InputError, match="cannot read"):
        run_suites(tmp_path, ["astra"])
    path.unlink()
    (tmp_path / "astra" / "collectives.csv").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="cannot read"):
        run_suites(tmp_path, ["astra"])


def test_unknown_suite_empty_directory_and_no_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean astra"):
        run_suites(tmp_path, ["asta"])
    with pytest.raises(InputError, match="no suite has its files here"):
        run_suites(tmp_path)
    with pytest.raises(InputError, match="no such directory"):
        run_suites(tmp_path / "none")


def test_exit_code_is_one_when_a_target_is_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate_command(write_astra(tmp_path), ["astra"]) == 0
    assert "met     max_error_frac" in capsys.readouterr().out
    write_astra(tmp_path, ASTRA_HEADER + ASTRA_ROW.replace("2000002.003", "1800000"))
    assert validate_command(tmp_path, ["astra"]) == 1
    out = capsys.readouterr().out
    assert "MISSED" in out
    assert "11.1 %" in out


def test_json_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate_command(write_astra(tmp_path), None, as_json=True) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["schema"] == "scaleplan.validate/1"
    assert {"name", "cases", "median_error_frac", "p90_error_frac", "max_error_frac", "targets", "rows"} <= set(
        report["suites"][0]
    )
    assert {"name": "smpi", "missing": ["smpi/allreduce.csv"]} in report["skipped"]
    assert "skipped smpi" in captured.err


def test_summary_takes_only_what_counts() -> None:
    cases = [
        Case.of_figures("a", "k", 100.0, 110.0, "us"),
        Case.of_figures("b", "k", 100.0, 100.0, "us", agrees=True),
        Case.of_figures("c", "k", 100.0, 500.0, "us", counts=False, why_not="not modelled", agrees=False),
        Case.of_figures("d", "other", 100.0, 300.0, "us", agrees=False),
    ]
    report = SuiteReport("s", "t", SuiteOutcome(cases, summary_kinds=frozenset({"k"})))
    assert report.errors() == pytest.approx([0.1, 0.0])
    assert report.agreement_frac() == 1.0
    assert report.as_dict()["median_error_frac"] == pytest.approx(0.05)


def test_a_target_without_cases_is_not_judged() -> None:
    assert Target("x", None, 1.0).met is None
    assert Target("x", 1.0, 1.0).met is True
    assert Target("x", 0.9, 1.0, ">=").met is False


def test_datadir_reads_yaml_and_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not JSON"):
        DataDir(tmp_path).json("a.json")
    with pytest.raises(InputError, match=r"a\.yaml"):
        DataDir(tmp_path).yaml("a.yaml")
    with pytest.raises(InputError, match="no such data file"):
        DataDir(tmp_path).json("b.json")
