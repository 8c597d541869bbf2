"""`scaleplan why`, `slots` and `defrag` as a person uses them.

leaf0 (h0, h1) and leaf1 (h2, h3) under one spine, two accelerators a host. `left` holds half of h0, `right` half of h2.
"""

import json
from pathlib import Path

import pytest

from planner.cli.main import run as run_here
from tests.planner.files_for_cli import CROSSING, FABRIC, JOBS

RUNNING = """\
schema_version: 1
jobs:
  - {id: left, accelerators: 1, movable: true, move_cost: 3}
  - {id: right, accelerators: 1, movable: true, move_cost: 2}
  - {id: leaf, accelerators: 4, accelerators_per_host: 2, max_leaf_groups: 1}
"""
HERE = """\
{"schema": "scaleplan/placement/1", "jobs": {
  "left": [{"host": "h0", "accelerators": [0]}], "right": [{"host": "h2", "accelerators": [0]}]
}}
"""


class Here:
    """Runs commands in this process, in a folder with the files above."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *argv: str, exit_code: int = 0) -> str:
        assert run_here(list(argv)) == exit_code
        told = self._capsys.readouterr()
        if exit_code == 2:
            assert told.out == ""
            assert told.err.count("\n") == 1
            return told.err
        return told.out

    def json(self, *argv: str, exit_code: int = 0) -> dict[str, object]:
        parsed: dict[str, object] = json.loads(self(*argv, "--json", exit_code=exit_code))
        return parsed


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    for name, text in (
        ("f.yaml", FABRIC),
        ("j.yaml", RUNNING),
        ("p.json", HERE),
        ("r.yaml", JOBS),
        ("c.json", CROSSING),
    ):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return Here(capsys)


FILES = ("f.yaml", "--jobs", "j.yaml", "--placement", "p.json")


def test_why_names_the_cheapest_job_to_move(run: Here) -> None:
    text = run("why", "leaf", *FILES, exit_code=3)
    assert "leaf needs 2 hosts with 2 free on at most 1 leaf group" in text
    assert "in the way: the 1 leaf group with most room has 2; who is there already stands in the way" in text
    assert "would help: moving right (1 host, cost 2) would free it" in text
    told = run.json("why", "leaf", *FILES, exit_code=3)
    assert told["schema"] == "scaleplan/why/1"
    assert [r["jobs"] for r in told["remedies"] if r["jobs"]] == [["right"]]  # type: ignore[attr-defined]


def test_why_says_where_a_job_is_or_that_it_fits(run: Here) -> None:
    assert run("why", "left", *FILES) == "left is placed, on h0\n"
    Path("none.json").write_text('{"schema": "scaleplan/placement/1", "jobs": {}}')
    assert run("why", "leaf", *FILES[:4], "none.json") == "leaf fits now\n"
    assert run.json("why", "left", *FILES)["hosts"] == ["h0"]


def test_why_places_the_batch_first_if_nobody_did(run: Here) -> None:
    assert "leaf is placed, on h" in run("why", "leaf", "f.yaml", "--jobs", "j.yaml", "--time-limit", "2")


def test_slots_by_hand(run: Here) -> None:
    """Two whole hosts and two halves are left: six accelerators, two hosts in different leaves."""
    told = run.json("slots", *FILES, *(f"--shape={text}" for text in ("1", "1x2", "2x2", "2x2/leaf", "3/leaf")))
    assert [(row["shape"], row["fit"], row["at_most"]) for row in told["slots"]] == [  # type: ignore[attr-defined]
        ("1", 6, 6),
        ("1x2", 2, 2),
        ("2x2", 1, 1),
        ("2x2/leaf", 0, 0),
        ("3/leaf", 2, 2),
    ]
    assert "fit at once" in run("slots", "f.yaml", "--shapes", "r.yaml")
    assert "2x2/leaf" in run("slots", "f.yaml")


def test_defrag_plans_the_cheapest_move(run: Here) -> None:
    told = run.json("defrag", *FILES, "--for", "leaf", "-o", "after.json")
    assert (told["cost"], told["bound"]) == (2, 2)
    assert [(s["job"], s["action"]) for s in told["steps"]] == [("right", "move"), ("leaf", "start")]  # type: ignore[attr-defined]
    after = json.loads(Path("after.json").read_text())["jobs"]
    assert {run_["host"] for run_ in after["leaf"]} == {"h2", "h3"}
    text = run("defrag", *FILES, "--shape", "2x2/leaf", "--report", "page.html")
    assert "2 steps, cost of the moves 2 (proven least)" in text
    assert "after the moves" in Path("page.html").read_text()


def test_defrag_calms_the_network(run: Here) -> None:
    """Two rings over one pair of uplinks fill the cluster: with both free to move, they change places in part."""
    rings = ("f.yaml", "--jobs", "r.yaml", "--placement", "c.json", "--time-limit", "5")
    assert "no moves that cut the slow-down as much" in _refused(run, *rings, "--cut", "0.5")
    told = run.json("defrag", *rings, "--cut", "1", "--all-movable")
    assert [s["action"] for s in told["steps"]] == ["stop", "move", "start"]  # type: ignore[attr-defined]
    assert told["after"]["excess_slowdown"] == 0  # type: ignore[index]


def _refused(run: Here, *argv: str) -> str:
    assert run_here(["defrag", *argv]) == 3
    return run._capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (
            ["why", "lef", *FILES],
            "JOB: no such job in the job file; found: 'lef'; allowed: one of its 3 jobs; fix:",
        ),
        (["why", "leaf", *FILES[:4], "c.json"], "c.json: the placement does not fit the problem; found: job 'ring-0'"),
        (["slots", "f.yaml", "--shape", "0x2"], "--shape: no such shape; found: '0x2'; allowed: "),
        (["defrag", *FILES], "--for, --shape, --cut: say what to move for"),
        (["defrag", *FILES, "--cut", "2"], "--cut: the part to cut is out of range"),
        (["defrag", *FILES, "--for", "left"], "--for: the job runs already; found: 'left'"),
        (["defrag", *FILES, "--for", "leaf", "--time-limit", "0"], "--time-limit: a time limit is above 0 seconds"),
    ],
)
def test_misuse_is_one_line(run: Here, argv: list[str], line: str) -> None:
    assert line in run(*argv, exit_code=2)
