"""The timeline tells what held over time, and folds when a trace is long."""

import numpy as np
import pytest

from planner.replay.engine import replay
from planner.replay.metrics import Metrics, Power
from planner.replay.pool import HostPool
from planner.replay.rules import Outage, Rules
from planner.replay.scheduler import get_scheduler
from planner.replay.timeline import Timeline
from planner.traces.trace import TraceJob


def watched(jobs: list[TraceJob], rules: Rules) -> tuple[Timeline, Metrics]:
    pool = HostPool([8, 8])
    metrics = Metrics(pool, power=Power(100.0, 0.1))
    replay(pool, jobs, get_scheduler("first-fit"), rules, (metrics,))
    return metrics.timeline(), metrics


def test_two_jobs_one_after_the_other() -> None:
    """16 accelerators: a holds all for 2 minutes, b waits for them and holds 8 for another minute."""
    jobs = [TraceJob("a", 0.0, 120.0, 16), TraceJob("b", 60.0, 60.0, 8)]
    line, metrics = watched(jobs, Rules())
    assert line.edges_s == (0.0, 60.0, 120.0, 180.0)
    assert line.allocated == line.working == line.useful == (16.0, 16.0, 8.0)
    assert line.waiting_jobs == (0.0, 1.0, 0.0)
    assert line.waiting_accelerators == (0.0, 8.0, 0.0)
    assert line.running_jobs == (1.0, 1.0, 1.0)
    assert line.idle["no-demand"] == (0.0, 0.0, 8.0)
    assert line.middle_s == (30.0, 90.0, 150.0)
    assert line.slots["8"] == (0.0, 0.0, 1.0)
    assert line.deployable == (16.0, 16.0, 16.0)
    assert line.watts == (1600.0, 1600.0, 880.0)
    assert metrics.summary().energy_kwh == pytest.approx((1600 + 1600 + 880) * 60 / 3.6e6)


def test_a_host_that_is_down_is_told_as_down() -> None:
    line, _ = watched([TraceJob("a", 0.0, 180.0, 8)], Rules(outages=(Outage(1, 60.0, 120.0),)))
    assert line.idle["down"] == (0.0, 8.0, 0.0)
    assert line.idle["no-demand"] == (8.0, 0.0, 8.0)
    assert line.deployable == (16.0, 8.0, 16.0)


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
    lasts = np.diff(line.edges_s)
    assert lasts.sum() == pytest.approx(summary.makespan_s)
    held = float((np.array(line.allocated) * lasts).sum())
    assert held == pytest.approx(summary.allocated_frac * summary.makespan_s * 16)
    for cause, frac in summary.idle_frac.items():
        idle = float((np.array(line.idle[cause]) * lasts).sum())
        assert idle == pytest.approx(frac * summary.makespan_s * 16, abs=1)
    everything = np.array(line.working) + sum(np.array(amount) for amount in line.idle.values())
    assert everything == pytest.approx(np.full(len(lasts), 16.0), abs=1e-4)
