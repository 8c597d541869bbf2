"""The timeline tells what held over time, and folds when a trace is long."""

import numpy as np
import pytest

from planner.replay.engine import Outage, Rules, replay
from planner.replay.metrics import Metrics
from planner.replay.pool import HostPool
from planner.replay.scheduler import get_scheduler
from planner.replay.timeline import Timeline, Watch
from planner.traces.trace import TraceJob


def watched(jobs: list[TraceJob], rules: Rules) -> tuple[Timeline, Metrics]:
    pool = HostPool([8, 8])
    metrics = Metrics(pool)
    watch = Watch(metrics)
    replay(pool, jobs, get_scheduler("first-fit"), rules, (metrics, watch))
    return watch.timeline(), metrics


def test_two_jobs_one_after_the_other() -> None:
    """16 accelerators: a holds all for 2 minutes, b waits for them and holds 8 for another minute."""
    jobs = [TraceJob("a", 0.0, 120.0, 16), TraceJob("b", 60.0, 60.0, 8)]
    line, _ = watched(jobs, Rules())
    assert line.span_s == 60.0
    assert line.capacity == 16
    assert line.allocated.tolist() == [16.0, 16.0, 8.0]
    assert line.waiting.tolist() == [0.0, 1.0, 0.0]
    assert line.idle["no-demand"].tolist() == [0.0, 0.0, 8.0]
    assert line.middle_s.tolist() == [30.0, 90.0, 150.0]
    assert {name: waits.tolist() for name, waits in line.waits_s.items()} == {"9-64": [0.0], "2-8": [60.0]}


def test_a_host_that_is_down_is_told_as_down() -> None:
    line, _ = watched([TraceJob("a", 0.0, 180.0, 8)], Rules(outages=(Outage(1, 60.0, 120.0),)))
    assert line.idle["down"].tolist() == [0.0, 8.0, 0.0]
    assert line.idle["no-demand"].tolist() == [8.0, 0.0, 8.0]


@pytest.mark.parametrize("days", [1, 400])
def test_a_long_trace_folds_and_loses_nothing(days: int) -> None:
    rng = np.random.default_rng(days)
    times = np.sort(rng.uniform(0, days * 86_400, 300))
    jobs = [
        TraceJob(str(i), float(t), float(rng.uniform(10, 20_000)), int(rng.integers(1, 17)))
        for i, t in enumerate(times)
    ]
    line, metrics = watched(jobs, Rules(backfill="any"))
    assert len(line.allocated) <= 512
    summary = metrics.summary()
    held = float((line.allocated * line.covered_s).sum())
    assert line.covered_s.sum() == pytest.approx(summary.makespan_s)
    assert held == pytest.approx(summary.allocated_frac * summary.makespan_s * line.capacity)
    for cause, frac in summary.stranded_frac.items():
        idle = float((line.idle[cause] * line.covered_s).sum())
        assert idle == pytest.approx(frac * summary.makespan_s * line.capacity, abs=1e-3)
    everything = line.allocated + sum(line.idle.values())
    assert everything == pytest.approx(np.full(len(line.allocated), line.capacity))
    assert not line.allocated.flags.writeable
