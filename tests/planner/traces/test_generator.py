from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.traces.generator import Curve, Marginals, draw_trace, fit_of, marginals_from, published_marginals
from planner.traces.trace import Trace, TraceJob
from topologies.errors import InputError

# Three of four jobs have 1 accelerator, the others 8; durations are log-uniform between 10 and 1,000 s.
TOY = Marginals(
    "toy",
    Curve.of([(1, 0.75), (8, 1.0)], "toy"),
    Curve.of([(10, 0.0), (1000, 1.0)], "toy"),
    Curve.of([(1, 0.1), (8, 1.0)], "toy"),
)


def test_a_distance_by_hand() -> None:
    jobs = tuple(TraceJob(str(i), 0, 100.0, gpus) for i, gpus in enumerate((1, 1, 1, 1, 8)))
    fit = fit_of(Trace(jobs), TOY)
    assert fit.gpus == pytest.approx(0.8 - 0.75)
    assert fit.gpu_time == pytest.approx(4 / 12 - 0.1)


@pytest.mark.parametrize("name", ["Kalos", "Philly", "Helios", "PAI"])
def test_draws_are_near_what_is_published(name: str) -> None:
    marginals = published_marginals()[name]
    for num_jobs, seed in ((3000, 1), (10_000, 2)):
        fit = fit_of(draw_trace(marginals, num_jobs, accelerators=8192, load_frac=0.8, seed=seed), marginals)
        assert fit.gpus <= 0.03
        assert fit.duration_s <= 0.03
        assert fit.gpu_time is not None
        assert fit.gpu_time <= 0.03


@settings(max_examples=20, deadline=None)
@given(num_jobs=st.integers(20, 400), load=st.floats(0.2, 3.0), seed=st.integers(0, 100))
def test_the_load_is_what_is_asked_for(num_jobs: int, load: float, seed: int) -> None:
    trace = draw_trace(TOY, num_jobs, accelerators=64, load_frac=load, seed=seed, tenants=3)
    assert trace == draw_trace(TOY, num_jobs, accelerators=64, load_frac=load, seed=seed, tenants=3)
    assert len(trace.jobs) == num_jobs
    work = sum(job.gpus * job.duration_s for job in trace.jobs)
    # Arrivals lie in a span of work / (64 × load); the last one comes a little before its end.
    assert trace.last_submit_s <= work / (64 * load) * (1 + 1e-9)
    assert all(np.diff([job.submit_s for job in trace.jobs]) >= 0)
    assert {job.gpus for job in trace.jobs} <= {1, 8}


def test_what_is_no_distribution_is_refused() -> None:
    row = {"cluster": "c", "job_type": "all", "metric": "cdf_jobs_by_gpus", "x": "1", "cdf_pct": "50"}
    with pytest.raises(InputError, match="not a distribution"):
        marginals_from([row, row | {"x": "2", "cdf_pct": "40"}], "f.csv")
    with pytest.raises(InputError, match="bad point"):
        marginals_from([row | {"x": "one"}], "f.csv")
    with pytest.raises(InputError, match="above 0"):
        draw_trace(TOY, 10, accelerators=64, load_frac=0.0, seed=1)
