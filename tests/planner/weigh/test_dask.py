"""Sweeps on a real Dask scheduler with workers in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed")

_PROGRAM = """
from distributed import LocalCluster
from planner.weigh.study_file import named_study
from planner.weigh.sweep import parse_sweep, points_of, run_points

if __name__ == "__main__":
    points = points_of(named_study(["hgx-h100"], ["llama3-8b"], [64]), parse_sweep(["nic_gbps=100,200,400"]))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        far = run_points(points, dask=cluster.scheduler_address)
    assert far == run_points(points, workers=1)
    print("same")
"""


@pytest.mark.slow
def test_dask_gives_the_same(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM, encoding="utf-8")
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout.strip() == "same", ended.stderr
