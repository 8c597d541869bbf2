"""``scaleplan weigh`` and ``scaleplan parallelism`` as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.command_line import CommandLine


@pytest.fixture
def run(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def test_weigh_answers_in_a_paragraph(run: CommandLine) -> None:
    out = run("weigh", "--designs", "hgx-h100,gb200-nvl72", "--workloads", "llama3-8b", "--sizes", "72").done().stdout
    assert "costs least per token for llama3-8b." in out
    for words in ("gain < 1 % beyond", "the bill", "capital M$ low", "a tray takes down", "an accelerator bought"):
        assert words in out


def test_weigh_json_and_sweep(run: CommandLine) -> None:
    ended = run(
        "weigh", "--designs", "hgx-b200", "--workloads", "llama3-8b", "--sizes", "64", "--json",
        "--sweep", "scale_up_domain=8,64", "nic_gbps=200,400",
    ).done()  # fmt: skip
    told = json.loads(ended.stdout)
    assert told["schema"] == "scaleplan/weigh/1"
    assert [cell["swept"] for cell in told["cells"]] == [
        {"scale_up_domain": d, "nic_gbps": n} for d in (8, 64) for n in (200, 400)
    ]


def test_parallelism_explains(run: CommandLine) -> None:
    out = run("parallelism", "gpt3-175b", "--gpus", "64", "--global-batch", "64").done().stdout
    assert "mappings are legal" in out
    assert "The next best" in out
    on_fabric = run(
        "parallelism",
        "llama3-8b",
        "--fabric",
        "dgx-h100-superpod-1su",
        "--gpus",
        "64",
        "--global-batch",
        "64",
        "--json",
    ).done()
    assert json.loads(on_fabric.stdout)["accelerators"] == 64


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["weigh", "--designs", "hgx-h10"], "did you mean hgx-h100"),
        (["weigh", "--workloads", "llama3"], "no such workload"),
        (["weigh", "--sizes", "many"], "not sizes"),
        (["weigh", "--sizes", "99999999999"], "not sizes"),
        (["parallelism", "llama3-8b", "--framework", "x"], "no such framework"),
        (["parallelism", "llama3-8b", "--kind", "x"], "no such kind"),
        (["weigh", "a.yaml", "b.yaml"], "more than one study file"),
        (["weigh", "missing.yaml"], "missing.yaml"),
        (["weigh", "--sweep", "colour=3"], "not something to sweep"),
        (["parallelism", "gpt5"], "no such model"),
        (["parallelism", "llama3-8b", "--parallelism", "tp=8,dp=8,cp=1,pp=1"], "product of a mapping"),
        (["parallelism", "llama3-8b", "--parallelism", "tp=x"], "not a mapping"),
        (["parallelism", "llama3-8b", "--precision", "fp2"], "no such precision"),
    ],
)
def test_bad_input_is_one_line(run: CommandLine, argv: list[str], words: str) -> None:
    assert words in run(*argv).refuses()


def test_a_study_that_nothing_carries_exits_with_3(run: CommandLine) -> None:
    ended = run("weigh", "--designs", "hgx-a100", "--workloads", "gpt-moe-1.8t", "--sizes", "8").exits(3)
    assert "no design carries any workload" in ended.stderr
    assert "refused: hgx-a100" in ended.stdout


def test_a_model_that_fits_nowhere_exits_with_3(run: CommandLine) -> None:
    ended = run("parallelism", "megatron-1t", "--gpus", "8", "--global-batch", "8").exits(3)
    assert "fits on no mapping" in ended.stderr


def test_serve_under_a_trace(run: CommandLine, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("t_s,prompt_tokens,output_tokens\n0,500,20\n1,800,30\n", encoding="utf-8")
    argv = ("serve", "llama3-8b", "--trace", str(trace), "--gpus", "4", "--prefill-gpus", "2")
    told = json.loads(run(*argv, "--json").done().stdout)
    assert told["trace"]["requests"] == 2
    assert told["trace"]["goodput_frac"] == 1
    assert "under the trace" in run(*argv).done().stdout


def test_the_cache_moves_over_a_fabric(run: CommandLine, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("t_s,prompt_tokens,output_tokens\n0,4000,20\n1,4000,30\n", encoding="utf-8")
    told = {}
    for fabric in ("dgx-h100-superpod-1su", "leaf-spine-4to1"):
        argv = ("serve", "llama3-8b", "--fabric", fabric, "--gpus", "64", "--prefill-gpus", "64")
        ended = run(*argv, "--trace", str(trace), "--json")
        told[fabric] = json.loads(ended.done().stdout)["cache_gb_per_s"]
    # A NIC of 50 GB/s where pairs hang on one rail's leaf, and less where they share oversubscribed uplinks.
    assert 50 > told["dgx-h100-superpod-1su"] > 35 > told["leaf-spine-4to1"]


def test_serve_on_unlike_accelerators(run: CommandLine) -> None:
    pool = "a100-sxm-80g:2,mi300x:1,epyc-9654:4"
    told = json.loads(run("serve", "llama3-8b", "--pool", pool, "--json").done().stdout)["pool"]
    assert [member["part"] for member in told["members"]] == ["a100-sxm-80g", "mi300x", "epyc-9654"]
    assert told["tokens_per_s"] > told["tokens_per_s_by_capacity"]
    out = run("serve", "llama3-8b", "--pool", pool, "--cut", "--tpot-ms", "200").done().stdout
    assert "if layers were shared out by capacity" in out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["serve", "llama3-8b", "--pool", "h100-sxm"], "PART:COUNT"),
        (["serve", "llama3-8b", "--pool", "h100-sxm:4:tp8"], "fewer accelerators than a replica"),
        (["serve", "llama3-8b", "--cut"], "--cut goes with --pool"),
        (["serve", "llama3-8b", "--fabric", "dgx-h100-superpod-1su", "--gpus", "999"], "more accelerators than"),
        (["serve", "llama3-8b", "--tp", "8", "--gpus", "4"], "fewer accelerators than a replica"),
        (["serve", "llama3-8b", "--tp", "3", "--gpus", "3"], "cannot be served so"),
        (["serve", "llama3-8b", "--trace", "none.csv"], "none.csv"),
        (["serve", "llama3-8b", "--tpot-ms", "-1"], "above 0 ms"),
    ],
)
def test_bad_serving_is_one_line(run: CommandLine, argv: list[str], words: str) -> None:
    assert words in run(*argv).refuses()
