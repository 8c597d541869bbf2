"""``scaleplan collective`` and ``scaleplan calibrate`` as a person uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.command_line import CommandLine
from tests.planner.collectives.logs import log

FABRIC = "dgx-h100-superpod-1su"


def test_auto_tells_what_nccl_picks_by_size(cli: CommandLine) -> None:
    told = cli("collective", FABRIC, "--gpus", "64", "--sizes", "8,1MiB,8GiB", "--json").json()
    small, middle, large = told["rows"]
    assert (small["algorithm"], small["protocol"]) == ("Tree", "LL")
    assert middle["protocol"] == "LL128"
    assert large["protocol"] == "Simple"
    assert small["time_low_us"] < small["time_us"] < small["time_high_us"]
    assert told["bottleneck"].startswith("dgx-")
    assert told["efficiency"]["source"].startswith("uncalibrated")


def test_a_ring_gets_its_part_of_the_line_rate(cli: CommandLine) -> None:
    told = cli(
        "collective",
        FABRIC,
        "--gpus",
        "32",
        "--sizes",
        "64GiB",
        "--algorithm",
        "ring",
        "--protocol",
        "simple",
        "--json",
    ).json()
    # eight rails of 50 GB/s, of which 0.93, and 0.01 less at four hosts than at two
    assert told["rows"][0]["busbw_gb_per_s"] == pytest.approx(400 * 0.93 * 0.99, rel=0.01)


def test_the_table_is_for_people(cli: CommandLine) -> None:
    shown = cli("collective", FABRIC, "--gpus", "16", "--sizes", "1MiB,1GiB").done().stdout
    assert "all-reduce, auto, 16 ranks on dgx-h100-superpod-1su" in shown
    assert "1,073,741,824" in shown
    assert "off by at most 30% from 16 MiB on, by a factor of 3 below" in shown


def test_calibrate_stores_what_collective_and_compare_then_use(cli: CommandLine, tmp_path: Path) -> None:
    asked = ("collective", FABRIC, "--gpus", "32", "--sizes", "4KiB:8GiB", "--json")
    before = cli(*asked).json()
    # a cluster that takes half as long again for everything
    slow = [(row["size_bytes"], 1.5e-6 * row["time_us"]) for row in before["rows"]]
    lines = log("all-reduce", slow, hosts=[f"n{i}" for i in range(4)])
    (tmp_path / "run.log").write_text("\n".join(lines), encoding="utf-8")

    dry = cli("calibrate", FABRIC, "run.log", "--dry-run", "--json").json()
    assert dry["stored"] is None
    made = cli("calibrate", FABRIC, "run.log", "--json").json()
    assert made["stored"] == f"{FABRIC}.calibration.json"
    assert (tmp_path / made["stored"]).is_file()
    assert {"network_frac", "latency_factor"} <= {figure["name"] for figure in made["figures"]}
    assert made["median_error_frac"] < 0.02

    after = cli(*asked).json()
    assert after["efficiency"]["source"] == "calibrated by run.log"
    for row, (_, seconds) in zip(after["rows"], slow, strict=True):
        assert row["time_us"] == pytest.approx(1e6 * seconds, rel=0.1)

    compared = cli("collective", FABRIC, "--compare", "run.log", "--json").json()
    assert compared["median_error_frac"] < 0.02
    assert [row["size_bytes"] for row in compared["rows"]] == [size for size, _ in slow]
    shown = cli("collective", FABRIC, "--compare", "run.log").done().stdout
    assert "error: median" in shown


def test_the_fit_is_shown(cli: CommandLine, tmp_path: Path) -> None:
    lines = log("all-reduce", [(2**k, 50e-6 + 2**k / 300e9) for k in range(10, 34)])
    (tmp_path / "run.log").write_text("\n".join(lines), encoding="utf-8")
    shown = cli("calibrate", FABRIC, "run.log", "-o", "kept.json").done().stdout
    assert "latency_factor" in shown
    assert "residuals: median" in shown
    assert "stored in kept.json" in shown
    told = cli("collective", FABRIC, "--calibration", "kept.json", "--json").json()
    assert told["efficiency"]["source"] == "calibrated by run.log"
    assert cli("collective", FABRIC, "--json").json()["efficiency"]["source"].startswith("uncalibrated")


@pytest.mark.parametrize(
    ("lines", "options", "says"),
    [
        (["# OSU MPI Allreduce Latency Test", "8 1.0"], [], "not a log of nccl-tests"),
        (
            log("all-reduce", [(2**30, 1.0)] * 4, hosts=[f"n{i}" for i in range(64)]),
            [],
            "larger cluster than the fabric",
        ),
        (log("all-reduce", [(2**30, 5e-3)] * 4, model="NVIDIA A100-SXM4-80GB"), [], "its accelerators differ"),
        (log("all-reduce", [(2**k, 2.0 ** (-k)) for k in range(10, 30)]), [], "do not fit the model"),
        (log("all-reduce", [(2**30, 5e-3)] * 4), ["--gpus", "32"], "another number of ranks"),
        (log("all-reduce", [(2**30, 5e-3)]), [], "too few measurements"),
    ],
)
def test_what_cannot_calibrate_is_refused_and_nothing_is_stored(
    cli: CommandLine, tmp_path: Path, lines: list[str], options: list[str], says: str
) -> None:
    (tmp_path / "run.log").write_text("\n".join(lines), encoding="utf-8")
    assert says in cli("calibrate", FABRIC, "run.log", *options).refuses()
    assert [path.name for path in tmp_path.iterdir()] == ["run.log"]


def test_a_calibration_of_another_fabric_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    lines = log("all-reduce", [(2**k, 50e-6 + 2**k / 300e9) for k in range(10, 34)])
    (tmp_path / "run.log").write_text("\n".join(lines), encoding="utf-8")
    cli("calibrate", FABRIC, "run.log", "-o", "kept.json").done()
    line = cli("collective", "dgx-h100-superpod-2su", "--calibration", "kept.json").refuses()
    assert "made for another fabric" in line


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--gpus", "0"], "--gpus: a collective needs at least two ranks"),
        (["--sizes", "-5"], "not a size"),
        (["--sizes", "1.5"], "size out of range"),
        (["--sizes", "9223372036854775808"], "size out of range"),
        (["--sizes", "1GiB:1KiB"], "runs backwards"),
        (["--protocol", "LL256"], "no such protocol"),
        (["--op", "all-to-all", "--protocol", "LL"], "only NCCL's own algorithms have protocols"),
        (["--algorithm", "collnetchain"], "found: CollNetChain; allowed: auto"),
        (["--algorithm", "nvls", "--op", "all-to-all"], "no such algorithm for all-to-all"),
        (["--compare", "none.log"], "none.log: cannot read the log"),
        (["--calibration", "none.json"], "none.json: no such file"),
    ],
)
def test_misuse_is_one_line(cli: CommandLine, options: list[str], says: str) -> None:
    assert says in cli("collective", FABRIC, *options).refuses()
