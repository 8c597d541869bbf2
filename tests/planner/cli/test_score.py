"""`scaleplan score` as a person uses it."""

from pathlib import Path

import pytest

from tests.fixtures.command_line import CommandLine
from tests.planner.files_for_cli import CROSSING, FABRIC, JOBS


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    for name, text in (("f.yaml", FABRIC), ("j.yaml", JOBS), ("p.json", CROSSING)):
        (tmp_path / name).write_text(text)
    return CommandLine(tmp_path)


def score(run: CommandLine, *more: str) -> list[str]:
    return ["score", "f.yaml", "--jobs", "j.yaml", "--placement", "p.json", *more]


def test_two_jobs_over_one_uplink_halve_each_other(run: CommandLine) -> None:
    told = run(*score(run, "--json")).json()
    assert told["schema"] == "scaleplan/score/1"
    # two-level: S/450 GB/s inside each host, S/50 GB/s between them, where the two jobs share one uplink
    alone, beside = 1 / 450 + 1 / 50, 1 / 450 + 2 / 50
    assert told["components"]["worst_slowdown"] == pytest.approx(beside / alone, rel=1e-3)
    assert told["components"]["placed_accelerators"] == 8
    assert {row["link"] for row in told["hottest_links"][:4]} == {
        "leaf0 → spine0",
        "spine0 → leaf0",
        "leaf1 → spine0",
        "spine0 → leaf1",
    }
    assert told["hottest_links"][0]["jobs"] == ["ring-0", "ring-1"]


def test_people_see_the_same(run: CommandLine) -> None:
    text = run(*score(run)).done().stdout
    assert "worst_slowdown" in text
    assert "ring-1" in text
    assert "leaf0 → spine0" in text


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"h3"', '"h9"', "p.json:3: jobs.ring-1[1].host: no such host in the fabric; found: 'h9'"),
        ("[1, 0]", "[2, 0]", "p.json:3: jobs.ring-1[1].accelerators: no such accelerator; found: 2; allowed: 0 to 1"),
        ("[1, 0]", "[1, 1]", "the placement does not fit the problem; found: accelerator 'h3/gpu1' is used 2 times"),
        ("placement/1", "placement/2", "p.json:1: schema:"),
    ],
)
def test_bad_placements_are_one_line(run: CommandLine, old: str, new: str, line: str) -> None:
    path = run.cwd / "p.json"
    path.write_text(path.read_text().replace(old, new))
    assert line in run(*score(run)).refuses()


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("accelerators: 4", "accelerators: 9", "job 'ring-0': a job asks for more accelerators than the fabric has"),
        ("accelerators: 4", "accelerators: 0", "j.yaml:5: jobs[0].accelerators:"),
        ("accelerators: 4", "acelerators: 4", "did you mean accelerators"),
        ("size: 1GiB", "size: 1GX", "j.yaml:6: jobs[0].traffic.size: not a size; found: '1GX'"),
        ("size: 1GiB", "size: -1", "j.yaml:6: jobs[0].traffic.size:"),
        ("count: 2", "count: 2\n    kinds: [no]", "j.yaml:5: jobs[0].kinds[0]:"),
        ("id: ring", "id: ring\n    id: ring", "stands twice"),
        ("jobs:\n", "old:\n", "j.yaml:2: old: unknown key"),
    ],
)
def test_bad_job_files_are_one_line(run: CommandLine, old: str, new: str, line: str) -> None:
    path = run.cwd / "j.yaml"
    path.write_text(path.read_text().replace(old, new))
    assert line in run(*score(run)).refuses()


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("schema_version: 1\ndrained: [h7]\n", "s.yaml:2: drained[0]: no such host in the fabric; found: 'h7'"),
        ("schema_version: 1\ntaken: {h0: 3}\n", "s.yaml:2: taken.h0: the state over-fills a host; found: 3 taken"),
        ("schema_version: 1\ndrained: ['h[2-3]']\n", "uses accelerator 'h2/gpu0', which is drained"),
    ],
)
def test_bad_states_are_one_line(run: CommandLine, state: str, line: str) -> None:
    (run.cwd / "s.yaml").write_text(state)
    assert line in run(*score(run, "--state", "s.yaml")).refuses()


def test_missing_files_are_one_line(run: CommandLine) -> None:
    assert "gone.yaml" in run("score", "f.yaml", "--jobs", "gone.yaml", "--placement", "p.json").refuses()
    assert "gone.yaml" in run("score", "gone.yaml", "--jobs", "j.yaml", "--placement", "p.json").refuses()
