"""The benchmarks' table tells a met target from a missed one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.benchmarks.measure import side_by_side
from tests.benchmarks.table import Row, Table


@pytest.mark.parametrize(
    ("row", "times_better", "target", "met"),
    [
        (Row("a", 2.0), None, "", None),
        (Row("a", 2.0, at_most=2.0), None, "≤ 2 s", True),
        (Row("a", 2.1, at_most=2.0), None, "≤ 2 s", False),
        (Row("a", 2.0, reference=30.0, times_at_least=10), 15.0, "≥ 10 ×", True),
        (Row("a", 4.0, reference=30.0, times_at_least=10), 7.5, "≥ 10 ×", False),
        (Row("a", 30.0, unit="job/s", reference=2.0, more_is_better=True, at_least=40), 15.0, "≥ 40 job/s", False),
        (Row("a", 2.0, at_most=3.0, times_at_least=2), None, "≤ 3 s, ≥ 2 ×", False),
    ],
)
def test_row(row: Row, times_better: float | None, target: str, met: bool | None) -> None:
    assert (row.times_better, row.target, row.met) == (times_better, target, met)


def test_table_text() -> None:
    table = Table()
    table.add("compile", 0.0123, against="networkx", reference=1.5, times_at_least=10)
    table.add("memory", 12345678, unit="bytes", at_most=1e6)
    assert table.text().splitlines() == [
        "case               ours  against   reference  times better  target         met",
        "compile        0.0123 s  networkx     1.50 s         122 ×  ≥ 10 ×         yes",
        "memory   1.23e+07 bytes                                     ≤ 1e+06 bytes  MISSED",
    ]


def test_side_by_side_takes_turns() -> None:
    order: list[str] = []
    ours, reference = side_by_side(lambda: order.append("a"), lambda: order.append("b"), repeat=3)
    assert order == ["a", "b"] * 3
    assert len(ours.runs_s) == len(reference.runs_s) == 3
    assert ours.best_s <= ours.median_s


def test_peak_memory_counts_what_the_action_took() -> None:
    # In a process without threads of its own, since it forks.
    code = "from tests.benchmarks.measure import peak_memory_bytes as p; print(p(lambda: b'x' * 200_000_000))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.9 * 200_000_000 < int(ended.stdout) < 1.5 * 200_000_000


def test_lists_and_refuses() -> None:
    def run(*args: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "tests.benchmarks", *args]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    assert "command_start" in run("--list").stdout
    refused = run("no_such_benchmark")
    assert refused.returncode == 2
    assert "command_start" in refused.stderr
