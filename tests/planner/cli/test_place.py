"""`scaleplan place` as a person uses it: what it answers, and one clear line for what it cannot use.

leaf0 (h0, h1) and leaf1 (h2, h3) under one spine, two accelerators a host.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from planner.cli.main import run as run_here
from tests.fixtures.command_line import CommandLine
from tests.planner.files_for_cli import CROSSING, FABRIC, JOBS


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    for name, text in (("f.yaml", FABRIC), ("j.yaml", JOBS), ("p.json", CROSSING)):
        (tmp_path / name).write_text(text)
    return CommandLine(tmp_path)


def place(*more: str) -> list[str]:
    return ["place", "f.yaml", "--jobs", "j.yaml", "--time-limit", "2", *more]


def test_solvers_stand_side_by_side_once_each(run: CommandLine) -> None:
    """cp-sat gives each ring its leaf."""
    told = run(*place("--solver", "cp-sat", "--solver", "first-fit", "--solver", "cp-sat", "--json")).json()
    assert [result["solver"] for result in told["results"]] == ["cp-sat", "first-fit"]
    assert told["results"][0]["score"]["components"]["worst_slowdown"] == 1.0
    text = run(*place("--solver", "first-fit", "--solver", "slurm-tree")).done().stdout
    assert "first-fit" in text
    assert "slurm-tree" in text


def test_weights_instead_of_levels(run: CommandLine) -> None:
    """Both jobs placed and nobody slowed down: 2 × 8 accelerators, less nothing."""
    told = run(*place("--weight", "placed_weight=2", "--weight", "excess_slowdown=5", "--json")).json()["results"][0]
    assert told["score"]["total"] == 16
    assert set(told["bound"]) == {"placed_weight", "excess_slowdown"}
    assert told["gap"] == 0
    assert "weighted sum" in run(*place("--weight", "placed_weight=2")).done().stdout


def test_levels_in_an_order_of_ones_own(run: CommandLine) -> None:
    told = run(*place("--levels", "placed_weight,opened_leaf_groups", "--json")).json()["results"][0]
    assert list(told["bound"]) == ["placed_weight", "opened_leaf_groups"]


def test_running_jobs_stay_and_a_warm_start_is_no_worse(run: CommandLine) -> None:
    told = run(*place("--running", "p.json", "--json")).json()["results"][0]
    assert told["placement"]["jobs"]["ring-1"][1] == {"host": "h3", "accelerators": [1, 0]}
    warm = run(*place("--warm-start", "p.json", "--json")).json()["results"][0]
    assert warm["score"]["components"]["worst_slowdown"] == 1.0


def test_a_job_that_waits_has_a_reason_and_exit_code_3(run: CommandLine) -> None:
    (run.cwd / "s.yaml").write_text("schema_version: 1\ndrained: [h3]\n")
    ended = run(*place("--state", "s.yaml")).exits(3)
    assert "not placed: ring-1: needs 4 accelerators; 2 are free" in ended.stdout


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--time-limit", "0"], "--time-limit: a time limit is above 0 seconds; found: 0"),
        (["--levels", "speed"], "--levels: no such level; found: 'speed'; allowed: placed_weight, "),
        (["--levels", "moves,moves"], "--levels: a level is named twice"),
        (["--weight", "moves"], "--weight: a weight is a level and a number above 0; found: 'moves'"),
        (["--weight", "moves=-1"], "--weight: a weight is a level and a number above 0"),
        (["--weight", "moves=1", "--weight", "moves=2"], "--weight: a weight is given twice"),
        (["--weight", "moves=1", "--levels", "moves"], "levels and weights exclude each other"),
        (["--expect", "many"], "--expect: demand to come is accelerators on one host and how often"),
        (["--solver", "magic"], "--solver: no such solver; found: 'magic'; allowed: "),
        (["--warm-start", "wrong.json"], "wrong.json: the placement does not fit the problem; found: "),
        (["--running", "wrong.json"], "running job 'ring-1': a running job has other accelerators than it asks for"),
        (["--running", "missing.json"], "missing.json"),
        (["--state", "unknown.yaml"], "unknown.yaml:2: drained[0]: no such host"),
        (["--state", "overfull.yaml"], "overfull.yaml:2: taken.h1: the state over-fills a host; found: 3 taken"),
        (["--jobs", "twice.yaml"], "twice.yaml:4: jobs[1].id: two jobs of one id; found: 'a'"),
        (["--jobs", "large.yaml"], "job 'a': a job asks for more accelerators than the fabric has; found: 9"),
        (["--jobs", "none.yaml"], "none.yaml:3: jobs[0].accelerators: "),
        (["--jobs", "odd.yaml"], "odd.yaml:3: jobs[0]: hosts must be a multiple of segment_hosts; found: 3 and 2"),
    ],
)
def test_bad_input_is_one_line(
    run: CommandLine, more: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "wrong.json": CROSSING.replace("[1, 0]", "[1]"),
        "unknown.yaml": "schema_version: 1\ndrained: [h9]\n",
        "overfull.yaml": "schema_version: 1\ntaken: {h1: 3}\n",
        "twice.yaml": "schema_version: 1\njobs:\n  - {id: a, accelerators: 1}\n  - {id: a, accelerators: 1}\n",
        "large.yaml": "schema_version: 1\njobs:\n  - {id: a, accelerators: 9}\n",
        "none.yaml": "schema_version: 1\njobs:\n  - {id: a, accelerators: 0}\n",
        "odd.yaml": "schema_version: 1\njobs:\n"
        "  - {id: a, accelerators: 6, accelerators_per_host: 2, segment_hosts: 2}\n",
    }
    for name, text in files.items():
        (run.cwd / name).write_text(text)
    monkeypatch.chdir(run.cwd)
    assert run_here(place(*more)) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert line in told.err


def test_limits_that_contradict_each_other_are_an_answer_with_reasons(run: CommandLine) -> None:
    """One leaf has four accelerators: six in one leaf can never be, which is no error of the batch."""
    (run.cwd / "k.yaml").write_text(
        "schema_version: 1\njobs:\n  - {id: a, accelerators: 6, max_leaf_groups: 1}\n  - {id: b, accelerators: 2}\n"
    )
    ended = run("place", "f.yaml", "--jobs", "k.yaml", "--time-limit", "2").exits(3)
    assert "not placed: a: needs 6 accelerators on at most 1 leaf group; " in ended.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_an_interrupt_brings_the_best_so_far(run: CommandLine) -> None:
    """Jobs that cannot all be placed, and ten minutes for it; the interrupt comes at the first sign of progress."""
    import pty

    jobs = "".join(
        f"  - {{id: j{i}, accelerators: {8 * (1 + i % 7)}, accelerators_per_host: 8, traffic: {{size: 1GiB}}}}\n"
        for i in range(60)
    )
    (run.cwd / "many.yaml").write_text(f"schema_version: 1\njobs:\n{jobs}")
    ours, theirs = pty.openpty()
    argv = [run.program, "place", "dgx-h100-superpod-4su", "--jobs", "many.yaml", "--time-limit", "600", "-o", "o.json"]
    with subprocess.Popen(
        [*argv, "--solver", "cp-sat", "--solver", "first-fit"],
        cwd=run.cwd,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as started:
        os.close(theirs)
        told = _until(ours, "cp-sat: ")
        started.send_signal(signal.SIGINT)
        told += _until(ours, "cp-sat had found")
        stdout, _ = started.communicate(timeout=200)
    os.close(ours)
    assert started.returncode == 3, told
    assert "interrupted: the best that cp-sat had found" in told
    assert "first-fit" not in stdout
    assert json.loads((run.cwd / "o.json").read_text())["jobs"]


def _until(terminal: int, sign: str) -> str:
    """Read what a terminal shows until some text is seen."""
    shown = ""
    while sign not in shown:
        shown += os.read(terminal, 65536).decode("utf-8", "replace")
    return shown
