"""50,000 jobs on 1,024 hosts replayed under first-fit, and FGD's experiment for one seed."""

from __future__ import annotations

import time

import numpy as np

from planner.replay.engine import replay
from planner.replay.metrics import Metrics
from planner.replay.pool import HostPool
from planner.replay.rules import Rules
from planner.replay.scheduler import get_scheduler
from planner.traces.trace import TraceJob
from tests.benchmarks.table import Table

_NUM_JOBS, _NUM_HOSTS, _HOST = 50_000, 1_024, 8


def jobs(load_frac: float) -> list[TraceJob]:
    """Draw jobs of 1 to 256 accelerators with log-normal durations that ask for so much of the cluster."""
    rng = np.random.default_rng(1)
    gpus = rng.choice([1, 2, 4, 8, 16, 64, 256], _NUM_JOBS, p=[0.5, 0.1, 0.1, 0.2, 0.06, 0.03, 0.01])
    duration_s = rng.lognormal(7, 1.5, _NUM_JOBS)
    gap_s = float((gpus * duration_s).mean()) / (_NUM_HOSTS * _HOST * load_frac)
    submit_s = np.cumsum(rng.exponential(gap_s, _NUM_JOBS))
    rows = zip(submit_s.tolist(), duration_s.tolist(), gpus.tolist(), strict=True)
    return [TraceJob(str(i), *row) for i, row in enumerate(rows)]


def bench(table: Table) -> None:
    drawn = jobs(0.85)
    for backfill in ("none", "easy"):
        pool = HostPool([_HOST] * _NUM_HOSTS, leaf=np.arange(_NUM_HOSTS) // 32)
        metrics = Metrics(pool)
        began = time.perf_counter()
        replay(pool, drawn, get_scheduler("first-fit"), Rules(backfill=backfill), (metrics,))
        took_s = time.perf_counter() - began
        table.add(f"50,000 jobs on 1,024 hosts, first-fit, backfill {backfill}", took_s, at_most=20.0)
