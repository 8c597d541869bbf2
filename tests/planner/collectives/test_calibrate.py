"""From a log to figures stored beside the fabric: ranks laid on hosts, other clusters refused, the file read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner.collectives.collective import collective_time
from planner.collectives.efficiency import UNCALIBRATED, Efficiency, SizeCorrection
from planner.collectives.measured.calibrate import calibrate, compare, read_logs
from planner.collectives.measured.log_tables import LoggedRank
from planner.collectives.measured.nccl_tests_log import LoggedTest, LogRow
from planner.collectives.measured.ranks import lay_ranks
from planner.collectives.measured.stored import calibration_path, load_calibration, stored_efficiency, write_calibration
from tests.planner.collectives.logs import log
from tests.planner.collectives.nccl_fabrics import H100, hosts_on_rails
from topologies.errors import InputError
from topologies.fabric import Fabric

FABRIC = hosts_on_rails(H100, hosts=4)
HOSTS = list(FABRIC.host_names)
SIZES = [2**i for i in range(12, 34)]
TRUTH = replace(UNCALIBRATED, network_frac=0.7, latency_factor=2.0)


def rows(efficiency: Efficiency, ranks: int = 16) -> list[tuple[int, float]]:
    times = collective_time(FABRIC, range(ranks), "all-reduce", SIZES, efficiency=efficiency).time_s[0]
    return list(zip(SIZES, times.tolist(), strict=True))


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def logged(*ranks: tuple[str, int, str], model: str = "NVIDIA H100 80GB HBM3") -> LoggedTest:
    listed = tuple(LoggedRank(i, host, device, bus, model) for i, (host, device, bus) in enumerate(ranks))
    return LoggedTest("x.log:1", "all-reduce", len(ranks), listed, (LogRow(2, 8, 1e-5, 0.1, 0.1, 0.1),), (), "")


def laid(test: LoggedTest, fabric: Fabric = FABRIC) -> list[int]:
    return lay_ranks(fabric, test).group.tolist()


def test_ranks_go_to_the_hosts_and_devices_that_the_log_names() -> None:
    # hosts of 8: device 3 of the third host is accelerator 2 × 8 + 3
    named = logged((HOSTS[2], 3, "0x1"), (HOSTS[2], 0, "0x2"), (HOSTS[0], 7, "0x3"))
    assert laid(named) == [19, 16, 7]
    domain = logged((f"{HOSTS[2]}.cluster.example", 3, "0x1"), (f"{HOSTS[1]}.cluster.example", 0, "0x2"))
    assert laid(domain) == [19, 8]


def test_unknown_hosts_are_taken_as_the_first_ones() -> None:
    test = logged(("b", 1, "0x1"), ("a", 2, "0x2"))
    assert laid(test) == [1, 8 + 2]
    assert "none of the log's names" in lay_ranks(FABRIC, test).how


def test_accelerators_that_all_call_themselves_device_0_go_by_their_pci_address() -> None:
    alike = logged(("a", 0, "0xa1"), ("a", 0, "0x1b"), ("a", 0, "0x9"))
    assert laid(alike) == [2, 1, 0]
    longer = logged(("a", 0, "0002:00:01"), ("a", 0, "0001:00:01"))
    assert laid(longer) == [1, 0]
    assert laid(logged(("a", 0, ""), ("a", 0, ""))) == [0, 1]


@pytest.mark.parametrize(
    ("test", "what"),
    [
        (logged(*((f"n{i // 8}", i % 8, f"0x{i}") for i in range(40))), "larger cluster than the fabric"),
        (logged(*((f"n{i}", 0, "0x1") for i in range(5))), "its hosts do not fit; found: hosts × ranks: 5 × 1"),
        (logged(*(("big", i, f"0x{i}") for i in range(16))), "its hosts do not fit; found: hosts × ranks: 1 × 16"),
        (logged(("a", 0, "0x1"), ("a", 1, "0x2"), model="NVIDIA A100-SXM4-80GB"), "accelerators differ; found: A100"),
        (logged(("a", 0, "0x1"), ("a", 1, "0x2"), model="AMD Instinct MI300X"), "accelerators differ; found: MI300X"),
    ],
)
def test_logs_of_other_clusters_are_refused(test: LoggedTest, what: str) -> None:
    with pytest.raises(InputError, match=what):
        lay_ranks(FABRIC, test)


def test_a_model_that_is_not_told_is_let_pass() -> None:
    assert laid(logged(("a", 0, "0x1"), ("a", 1, "0x2"), model="Graphics Device")) == [0, 1]


def test_a_fit_to_a_log_finds_what_wrote_it(tmp_path: Path) -> None:
    lines = log("all-reduce", rows(TRUTH, 32), hosts=HOSTS)
    made = calibrate(FABRIC, [written(tmp_path / "run.log", lines)])
    assert made.fit.efficiency.network_frac == pytest.approx(0.7, rel=0.02)
    assert made.fit.efficiency.latency_factor == pytest.approx(2.0, rel=0.05)
    assert made.fit.efficiency.source == "calibrated by run.log"
    assert len(made.logs["run.log"]) == 64
    before, after = (np.abs([row.error_frac for row in side]) for side in (made.before, made.after))
    assert np.median(before) > 0.2
    assert np.median(after) < 0.01
    assert {row.algorithm for row in made.after} <= {"Tree", "Ring", "NVLS", "NVLSTree"}


def test_compare_sets_the_model_beside_the_log(tmp_path: Path) -> None:
    tests, left_out = read_logs(FABRIC, [written(tmp_path / "run.log", log("all-reduce", rows(UNCALIBRATED)))])
    compared = compare(FABRIC, tests)
    assert left_out == []
    assert [row.size_bytes for row in compared] == SIZES
    # the log itself is rounded to four digits or so
    assert max(abs(row.error_frac) for row in compared) < 2e-3
    assert {row.num_units for row in compared} == {2}


def test_a_log_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    backwards = [(size, 1.0 / size) for size in SIZES]
    with pytest.raises(InputError, match=r"calibrated by run\.log: the measurements do not fit the model"):
        calibrate(FABRIC, [written(tmp_path / "run.log", log("all-reduce", backwards))])


def store(path: Path, efficiency: Efficiency) -> None:
    write_calibration(path, FABRIC, efficiency, logs={"a": "b"}, median_error_frac=0.01, p90_error_frac=0.02)


def test_a_calibration_reads_back_as_it_was(tmp_path: Path) -> None:
    full = replace(
        TRUTH,
        in_switch_frac=0.6,
        corrections=(SizeCorrection("all-reduce", 2, (1024.0, 2048.0), (1.1, 0.9)),),
        source="calibrated by run.log",
    )
    for efficiency in (full, TRUTH):
        store(tmp_path / "x.calibration.json", efficiency)
        assert load_calibration(tmp_path / "x.calibration.json", FABRIC) == efficiency


def test_where_calibrations_lie(tmp_path: Path) -> None:
    assert calibration_path(tmp_path / "mine.yaml") == tmp_path / "mine.calibration.json"
    assert calibration_path("dgx-h100-superpod-1su") == Path("dgx-h100-superpod-1su.calibration.json")
    assert stored_efficiency(tmp_path / "mine.yaml", FABRIC) is None
    store(tmp_path / "mine.calibration.json", TRUTH)
    assert stored_efficiency(tmp_path / "mine.yaml", FABRIC) == TRUTH


def test_another_fabrics_calibration_is_refused(tmp_path: Path) -> None:
    store(tmp_path / "x.calibration.json", TRUTH)
    with pytest.raises(InputError, match="made for another fabric"):
        load_calibration(tmp_path / "x.calibration.json", hosts_on_rails(H100, hosts=2))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"network_frac": -1}, "network_frac"),
        ({"extra": 1}, "extra"),
        ({"latency_factor": "fast"}, "latency_factor"),
        (
            {"corrections": [{"collective": "all-reduce", "num_units": 2, "size_bytes": [2.0, 1.0], "factor": [1, 1]}]},
            "sizes must rise",
        ),
    ],
)
def test_a_broken_calibration_is_one_line(tmp_path: Path, change: dict[str, object], what: str) -> None:
    path = tmp_path / "x.calibration.json"
    store(path, TRUTH)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["efficiency"].update(change)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=what) as error:
        load_calibration(path, FABRIC)
    assert "\n" not in error.value.message
