"""Rings that run at once on up to 1,024 hosts: event-driven max-min beside SimGrid, and cost against size."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from planner.congestion.events import Program, run_events
from planner.congestion.incidence import Incidence
from planner.congestion.maxmin import max_min_rates
from tests.benchmarks.measure import timed
from tests.benchmarks.table import Table

_CASES = Path(__file__).parents[1] / "validation" / "data" / "contention" / "cases.json"
_SIMGRID_PYTHON = "/usr/bin/python3"
_LATENCY_S = 2.5e-6  # of a host's link: two on every way
_TIMES_FASTER = 200.0
_FIRST_FLOWS, _NOISE = 16384, 1.25


class _Case:
    """A leaf-spine case in numbers: links up and down of hosts, then of leaf–spine pairs."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.hosts, leaves, spines = case["H"] * case["L"], case["L"], case["S"]
        host, up = case["host_gbps"] / 8 * 1e9, case["up_gbps"] / 8 * 1e9
        self.rate = np.array([host] * 2 * self.hosts + [up] * 2 * leaves * spines)
        self.latency = np.array([_LATENCY_S] * 2 * self.hosts + [0.0] * 2 * leaves * spines)
        self.jobs = [(job["ring"], job["bytes"]) for job in case["jobs"]]
        self.ways: dict[tuple[int, int], list[int]] = {}
        for ring, _ in self.jobs:
            for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
                trunk = []
                if (home := a // case["H"]) != (away := b // case["H"]):
                    spine, first = case["paths"][f"{a},{b}"], 2 * self.hosts
                    trunk = [first + home * spines + spine, first + leaves * spines + away * spines + spine]
                self.ways[a, b] = [a, *trunk, self.hosts + b]

    def incidence(self) -> Incidence:
        row, link = [], []
        for j, (ring, _) in enumerate(self.jobs):
            for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
                row += [j] * len(self.ways[a, b])
                link += self.ways[a, b]
        return Incidence.from_entries(row, link, np.ones(len(row)), num_rows=len(self.jobs), num_links=self.rate.size)

    def program(self) -> Program:
        p = np.array([len(ring) for ring, _ in self.jobs], np.float64)
        size = np.array([size for _, size in self.jobs], np.float64)
        return Program.of(2 * (p - 1) / p * size, row_latency_s=2 * (p - 1) * 2 * _LATENCY_S)

    def as_json(self) -> str:
        return json.dumps(
            {
                "num_hosts": self.hosts,
                "links": list(zip(self.rate.tolist(), self.latency.tolist(), strict=True)),
                "routes": [[a, b, way] for (a, b), way in self.ways.items()],
                "jobs": self.jobs,
            }
        )


def _simgrid(case: _Case) -> dict[str, Any] | None:
    """Run a case in SimGrid; None where it is not installed."""
    if not Path(_SIMGRID_PYTHON).exists() or not shutil.which(_SIMGRID_PYTHON):
        return None
    has = subprocess.run([_SIMGRID_PYTHON, "-c", "import simgrid"], capture_output=True, check=False)
    if has.returncode:
        return None
    script = Path(__file__).with_name("simgrid_rings.py")
    argv = [_SIMGRID_PYTHON, str(script)]
    run = subprocess.run(argv, input=case.as_json(), capture_output=True, text=True, check=True, timeout=900)
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return answer


def bench(table: Table) -> None:
    cases = [case for case in json.loads(_CASES.read_text()) if case["name"].startswith("big_")]
    for raw in cases:
        case = _Case(raw)
        incidence, program = case.incidence(), case.program()
        ours = timed(lambda: run_events(incidence, case.rate, program), repeat=5)  # noqa: B023
        name = f"{len(case.jobs)} rings on {case.hosts} hosts, {raw['S']} spines"
        theirs = _simgrid(case)
        if theirs is None:
            sys.stderr.write("SimGrid left out: no python3-simgrid here (apt-get install python3-simgrid)\n")
            table.add(name, ours.median_s)
            continue
        target = _TIMES_FASTER if case.hosts == 1024 else None
        table.add(name, ours.median_s, against="SimGrid", reference=theirs["wall_s"], times_at_least=target)
        finish = run_events(incidence, case.rate, program).finish_s
        error = np.abs(finish - theirs["finish_s"]) / theirs["finish_s"]
        table.add(f"{name}: mean difference in time", float(error.mean()), unit="frac")
    _growth(table)


def _growth(table: Table) -> None:
    """Cost against flows: max-min of n flows over n / 4 links, over n log n, and a plot of it.

    Measured from the size at which the fixed cost of a solve no longer shows.
    """
    rng = np.random.default_rng(0)
    nums, spent_s = [], []
    for exponent in range(10, 20):
        num = 2**exponent
        row = np.repeat(np.arange(num), 4)
        link = rng.integers(0, num // 4, row.size)
        incidence = Incidence.from_entries(row, link, np.ones(row.size), num_rows=num, num_links=num // 4)
        nums.append(num)
        spent_s.append(timed(lambda: max_min_rates(incidence, np.ones(num // 4)), repeat=3).best_s)  # noqa: B023
    cost = np.array(spent_s) / (np.array(nums) * np.log2(nums))
    first = nums.index(_FIRST_FLOWS)
    for num, grown in zip(nums[first:], cost[first:] / cost[first], strict=True):
        limit = None if num == _FIRST_FLOWS else _NOISE
        table.add(f"max-min of {num:,} flows, over n log n", grown, unit="× at 16,384", at_most=limit)
    plot = Path("out") / "max_min_growth.svg"
    plot.parent.mkdir(exist_ok=True)
    plot.write_text(_svg(np.array(nums, float), np.array(spent_s)), encoding="utf-8")
    sys.stderr.write(f"plot of cost against flows: {plot}\n")


def _svg(nums: np.ndarray, spent_s: np.ndarray) -> str:
    """Draw time against flows, both logarithmic, beside n log n through the first point."""
    guide = spent_s[0] * nums * np.log2(nums) / (nums[0] * np.log2(nums[0]))
    low, high = np.log10(spent_s.min()), np.log10(max(guide.max(), spent_s.max()))

    def points(times: np.ndarray) -> list[tuple[float, float]]:
        x = 60 + 500 * (np.log10(nums) - np.log10(nums[0])) / np.log10(nums[-1] / nums[0])
        y = 320 - 280 * (np.log10(times) - low) / (high - low)
        return [(round(float(a), 1), round(float(b), 1)) for a, b in zip(x, y, strict=True)]

    ours, line = points(spent_s), points(guide)
    marks = "".join(f'<circle cx="{x}" cy="{y}" r="4" fill="#2a6f97"/>' for x, y in ours)
    ticks = "".join(
        f'<text x="{x}" y="340" font-size="10" text-anchor="middle">{int(n):,}</text>'
        for (x, _), n in list(zip(ours, nums, strict=True))[::3]
    )
    way = " ".join(f"{x},{y}" for x, y in line)
    first, last = (f"{spent_s[k] * 1e3:.3g} ms" for k in (0, -1))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 370" font-family="sans-serif">'
        '<rect width="620" height="370" fill="white"/>'
        '<text x="60" y="20" font-size="13">Max-min: seconds against flows (points), and n log n (line)</text>'
        f'<polyline points="{way}" fill="none" stroke="#999" stroke-dasharray="4 3"/>{marks}{ticks}'
        f'<text x="{ours[0][0] + 8}" y="{ours[0][1]}" font-size="10">{first}</text>'
        f'<text x="{ours[-1][0] - 8}" y="{ours[-1][1] + 18}" font-size="10" text-anchor="end">{last}</text>'
        '<text x="310" y="360" font-size="11" text-anchor="middle">flows</text></svg>\n'
    )
