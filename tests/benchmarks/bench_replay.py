"""50,000 jobs on 1,024 hosts replayed under first-fit, and two weeks of 2,000 accelerators under every cheap policy."""

from __future__ import annotations

import time

import numpy as np

from planner.replay.engine import replay
from planner.replay.fragmentation import Mix
from planner.replay.metrics import Metrics
from planner.replay.pool import HostPool
from planner.replay.rules import Rules
from planner.replay.running import asks_of
from planner.replay.scheduler import get_scheduler
from planner.traces.generator import draw_trace, published_marginals
from planner.traces.trace import TraceJob
from tests.benchmarks.table import Table

NUM_JOBS, NUM_HOSTS, HOST = 50_000, 1_024, 8
_WEEKS_S = 14 * 86_400.0


def jobs(load_frac: float) -> list[TraceJob]:
    """Draw jobs of 1 to 256 accelerators with log-normal durations that ask for so much of the cluster."""
    rng = np.random.default_rng(1)
    gpus = rng.choice([1, 2, 4, 8, 16, 64, 256], NUM_JOBS, p=[0.5, 0.1, 0.1, 0.2, 0.06, 0.03, 0.01])
    duration_s = rng.lognormal(7, 1.5, NUM_JOBS)
    gap_s = float((gpus * duration_s).mean()) / (NUM_HOSTS * HOST * load_frac)
    submit_s = np.cumsum(rng.exponential(gap_s, NUM_JOBS))
    rows = zip(submit_s.tolist(), duration_s.tolist(), gpus.tolist(), strict=True)
    return [TraceJob(str(i), *row) for i, row in enumerate(rows)]


def _two_weeks() -> list[TraceJob]:
    """Return as many jobs like Helios' as two weeks hold at nine tenths of 2,000 accelerators."""
    published = published_marginals()["Helios"]
    few = draw_trace(published, 5_000, accelerators=2_000, load_frac=0.9, seed=1)
    count = round(5_000 * _WEEKS_S / few.last_submit_s)
    return list(draw_trace(published, count, accelerators=2_000, load_frac=0.9, seed=1).jobs)


def bench(table: Table) -> None:
    drawn = jobs(0.85)
    for backfill in ("none", "easy"):
        pool = HostPool([HOST] * NUM_HOSTS, leaf=np.arange(NUM_HOSTS) // 32)
        metrics = Metrics(pool)
        began = time.perf_counter()
        replay(pool, drawn, get_scheduler("first-fit"), Rules(backfill=backfill), (metrics,))
        took_s = time.perf_counter() - began
        table.add(f"50,000 jobs on 1,024 hosts, first-fit, backfill {backfill}", took_s, at_most=20.0)
    weeks = _two_weeks()
    mix = Mix.of(ask for job in weeks for ask in asks_of(job, HOST))
    for policy in ("first-fit", "best-fit", "slurm-tree", "fgd"):
        pool = HostPool([HOST] * 250, leaf=np.arange(250) // 32)
        metrics = Metrics(pool, mix=mix)
        began = time.perf_counter()
        replay(pool, weeks, get_scheduler(policy), Rules(backfill="easy"), (metrics,), mix=mix)
        took_s = time.perf_counter() - began
        table.add(f"two weeks of 2,000 accelerators, {len(weeks):,} jobs, {policy}, EASY", took_s, at_most=60.0)
