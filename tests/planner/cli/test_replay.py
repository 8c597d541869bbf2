"""`scaleplan replay` as a person uses it, on four hosts of two accelerators under two leaves."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from planner.replay.result import ReplayResult
from tests.fixtures.command_line import CommandLine
from tests.planner.files_for_cli import FABRIC

# a and b cross the one uplink of each leaf for 100 s each; c fits into a host but has to wait.
TRACE = """\
job_id,submit_s,duration_s,gpus,tenant,gpu_type
a,0,100,4,red,V100
b,0,100,4,blue,
c,10,10,1,red,
d,20,10,16,red,
"""

RULES = """\
schema_version: 1
backfill: any
launch: {takes_s: 5}
reservations:
  - {tenant: red, hosts: [h0], to_h: 0.01}
drains:
  - {hosts: [h1], from_h: 1, hours: 1}
failures: published
serving:
  chat:
    accelerators: 1
    most: 2
    tenant: web
    requests: req.csv
    tokens_per_s: 10
"""


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    (tmp_path / "f.yaml").write_text(FABRIC)
    (tmp_path / "t.csv").write_text(TRACE)
    return CommandLine(tmp_path)


def test_figures_bill_and_causes(run: CommandLine) -> None:
    told = run(
        "replay", "f.yaml", "--trace", "t.csv", "--policy", "best-fit", "--usd-per-gpu-hour", "3", "--json"
    ).json()
    (policy,) = told["policies"]
    found, bill = policy["summary"], policy["bill"]
    assert told["jobs"] == 4
    assert found["jobs"] == 3
    assert found["refused"] == {"larger than the cluster": 1}
    assert found["makespan_s"] == 110
    assert found["mean_wait_s"] == pytest.approx(90 / 3)
    assert found["allocated_frac"] == pytest.approx(810 / 880)
    lines = {line["tenant"]: line["allocated_usd"] for line in bill["lines"]}
    assert lines == pytest.approx({"red": 3 * 410 / 3600, "blue": 3 * 400 / 3600})
    assert "jobs that name a model: the fabric has none of these, taken as any" in told["mended"]


def test_the_json_follows_its_schema(run: CommandLine) -> None:
    told = run("replay", "f.yaml", "--trace", "t.csv", "--json").json()
    assert TypeAdapter(ReplayResult).validate_python(told).policies[0].policy == "best-fit"
    assert told.keys() == run("schema", "replay").json()["properties"].keys()
    timeline = told["policies"][0]["timeline"]
    assert timeline["edges_s"] == [0, 60, 110]
    assert timeline["working"] == [8, pytest.approx((40 * 8 + 10 * 1) / 50)]
    assert len(told["savings"]) == 3


def test_people_see_policies_side_by_side(run: CommandLine) -> None:
    text = run("replay", "f.yaml", "--trace", "t.csv").done().stdout
    assert "slurm-tree" in text
    assert "nobody waits" in text
    assert "a month" in text


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--policy", "nope"], "no such scheduler"),
        (["--order", "lifo"], "no such queue order"),
        (["--backfill", "all"], "no such backfill"),
        (["--quota", "red"], "not a quota"),
        (["--quota", "red=-3"], "not a quota"),
        (["--congestion", "--communicate-frac", "2"], "communicates"),
        (["--mtbf-hours", "-1"], "mean time"),
        (["--usd-per-gpu-hour", "-1"], "price"),
        (["--format", "x"], "no such trace format"),
    ],
)
def test_misuse_is_one_line(run: CommandLine, more: list[str], what: str) -> None:
    assert what in run("replay", "f.yaml", "--trace", "t.csv", *more).refuses()


def test_a_rules_file_says_how_the_cluster_is_run(run: CommandLine) -> None:
    (run.cwd / "req.csv").write_text("t_s,prompt_tokens,output_tokens\n0,600,0\n70,1200,0\n")
    (run.cwd / "r.yaml").write_text(RULES)
    told = run("replay", "f.yaml", "--trace", "t.csv", "--rules", "r.yaml", "--policy", "best-fit", "--json").json()
    (policy,) = told["policies"]
    assert told["rules"]["serving pools"] == "chat"
    assert told["rules"]["reservations"] == "1"
    assert policy["pools"][0]["name"] == "chat"
    assert policy["summary"]["idle_frac"]["launching"] > 0
    (run.cwd / "bad.yaml").write_text(RULES.replace("most: 2", "most: 2\n    leest: 1"))
    assert "leest" in run("replay", "f.yaml", "--trace", "t.csv", "--rules", "bad.yaml").refuses()


def test_a_batch_goes_on_with_its_journal(run: CommandLine) -> None:
    rows = "".join(f"j{i},{10 * i},25,{gpus},x\n" for i, gpus in enumerate((1, 4, 2, 8, 1)))
    (run.cwd / "w.csv").write_text("job_id,submit_s,duration_s,gpus,tenant\n" + rows)
    asked = ("replay", "f.yaml", "--trace", "w.csv", "--policy", "batch:first-fit", "--journal", "j.jsonl", "--json")
    first = run(*asked).json()
    kept = (run.cwd / "j.jsonl").read_text().splitlines()
    (run.cwd / "j.jsonl").write_text("\n".join(kept[:3]) + '\n["pla')  # cut off in the middle of the third decision
    assert run(*asked).json() == first
    assert (run.cwd / "j.jsonl").read_text().splitlines() == kept
    assert first["policies"][0]["summary"]["jobs"] == 5
    assert "another replay" in run(*asked, "--order", "sjf").refuses()


def test_a_drawn_trace_can_be_replayed(run: CommandLine) -> None:
    said = run("draw-trace", "-o", "d.csv", "--jobs", "300", "--accelerators", "8", "--like", "helios").done().stdout
    assert "jobs by duration" in said
    told = run("replay", "f.yaml", "--trace", "d.csv", "--policy", "first-fit", "--backfill", "none", "--json").json()
    assert told["jobs"] == 300
    assert "no such cluster" in run("draw-trace", "-o", "x.csv", "--like", "mars").refuses()


def test_a_solver_is_a_policy(run: CommandLine) -> None:
    rows = "".join(f"j{i},{10 * i},25,{gpus},x\n" for i, gpus in enumerate((1, 4, 2, 8, 1)))
    (run.cwd / "w.csv").write_text("job_id,submit_s,duration_s,gpus,tenant\n" + rows)
    policies = ("--policy", "solver:best-fit", "--policy", "best-fit", "--backfill", "none")
    ours, theirs = run("replay", "f.yaml", "--trace", "w.csv", *policies, "--json").json()["policies"]
    assert ours["policy"] == "solver:best-fit"
    assert ours["summary"]["jobs"] == theirs["summary"]["jobs"] == 5
    assert ours["summary"]["makespan_s"] == theirs["summary"]["makespan_s"]
    assert "no such solver" in run("replay", "f.yaml", "--trace", "w.csv", "--policy", "solver:no").refuses()
