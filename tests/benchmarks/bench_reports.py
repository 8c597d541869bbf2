"""Write placement reports, and open them in headless Chromium: seconds, size, and the slowest frame of a zoom."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from planner.collectives.traffic import Demand
from planner.job import Job
from planner.problem import Problem
from planner.report import PlacementStudy, Provenance, write_report
from planner.solver import get_solver
from planner.state import ClusterState
from tests.benchmarks.measure import timed
from tests.benchmarks.table import Table
from topologies.files.fabric_file import load_fabric

CASES = (("dgx-b200-superpod-4su", 60, 1.5, 6, 1.5), ("hgx-h100-131072", 500, 5.0, 15, 4.0))
"""Fabric, jobs, and the targets: seconds to write, megabytes, seconds until it answers."""
SIZES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
SOLVERS = ("best-fit", "first-fit", "slurm-tree")
GO_IN = """() => { const frames = [];
  for (let i = 0; i < 8 && !document.querySelector('.stage .gpu'); i++) {
    document.querySelector('.stage .mark').dispatchEvent(new Event('click'));
    frames.push(Number(document.querySelector('.explorer').dataset.frame)); }
  return frames; }"""


def study(fabric_name: str, most_jobs: int) -> PlacementStudy:
    """Return a batch that fills most of a fabric, placed three times."""
    fabric = load_fabric(fabric_name)
    jobs: list[Job] = []
    room = int(0.95 * fabric.num_accelerators)
    for i in range(most_jobs):
        size = SIZES[(i * 7) % len(SIZES)]
        if size <= min(room, fabric.num_accelerators // 4):
            jobs.append(Job(f"job-{i}", size, accelerators_per_host=8, traffic=Demand(1e9)))
            room -= size
    problem = Problem(fabric, ClusterState.empty(fabric), tuple(jobs))
    results = tuple(get_solver(name).solve(problem, time_limit_s=10, seed=1) for name in SOLVERS)
    return PlacementStudy(fabric_name, problem, results, Provenance("bench", {}))


def bench(table: Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_report(study("dgx-h100-superpod-1su", 10), Path(folder) / "first.html")  # imports
        for name, jobs, write_s, megabytes, open_s in CASES:
            path = Path(folder) / f"{name}.html"
            written = timed(partial(write_report, study(name, jobs), path))
            table.add(f"write, {name}", written.median_s, at_most=write_s)
            table.add(f"size, {name}", path.stat().st_size / 1e6, unit="MB", at_most=megabytes)
            opened = _open(path)
            if opened:
                table.add(f"open, {name}", statistics.median(o[0] for o in opened), at_most=open_s)
                frame = statistics.median(max(o[1]) for o in opened)
                table.add(f"slowest zoom frame, {name}", frame, unit="ms", at_most=100)


def _open(path: Path, times: int = 3) -> list[tuple[float, list[float]]]:
    """Return seconds until a page answers and milliseconds of each frame on the way in; nothing without Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        return []
    found = []
    with sync_playwright() as playwright:
        for _ in range(times):
            browser: Any = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(path.as_uri())
            page.wait_for_function("document.documentElement.dataset.ready")
            ready_s = float(page.evaluate("document.documentElement.dataset.ready")) / 1000
            found.append((ready_s, page.evaluate(GO_IN)))
            browser.close()
    return found
