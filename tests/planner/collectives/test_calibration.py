"""Fits find the figures that made the measurements, keep what was not measured, and refuse what does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.collectives.calibration import Measured, fit_efficiency
from planner.collectives.collective import collective_time
from planner.collectives.efficiency import UNCALIBRATED, Efficiency
from tests.planner.collectives.nccl_fabrics import H100, hosts_on_rails
from topologies.errors import InputError

SIZES = [2**i for i in range(12, 35)]
FABRIC = hosts_on_rails(H100, hosts=4)


def measured(truth: Efficiency, *, ranks: int = 32, op: str = "all-reduce", noise: float = 0.0) -> Measured:
    times = collective_time(FABRIC, range(ranks), op, SIZES, efficiency=truth).time_s[0].copy()
    if noise:
        times *= np.exp(np.random.default_rng(1).normal(0, noise, len(times)))
    return Measured(range(ranks), op, SIZES, times.tolist())


def test_a_fit_finds_the_figures_that_made_the_times() -> None:
    truth = replace(UNCALIBRATED, network_frac=0.7, latency_factor=2.0)
    fit = fit_efficiency(FABRIC, [measured(truth)])
    assert fit.efficiency.network_frac == pytest.approx(0.7, rel=0.02)
    assert fit.efficiency.latency_factor == pytest.approx(2.0, rel=0.05)
    assert fit.median_error_frac < 0.01
    assert {p.name for p in fit.parameters} >= {"network_frac", "latency_factor"}


def test_noise_is_left_as_residual() -> None:
    truth = replace(UNCALIBRATED, network_frac=0.8)
    fit = fit_efficiency(FABRIC, [measured(truth, noise=0.05)])
    assert fit.efficiency.network_frac == pytest.approx(0.8, rel=0.05)
    assert 0.01 < fit.efficiency.error_frac < 0.2
    assert 1.01 < fit.efficiency.small_error_factor < 1.3


def test_what_was_not_measured_keeps_its_default() -> None:
    fit = fit_efficiency(FABRIC, [measured(replace(UNCALIBRATED, scale_up_frac=0.8), ranks=8, op="all-gather")])
    assert fit.efficiency.scale_up_frac == pytest.approx(0.8, rel=0.02)
    assert fit.efficiency.network_frac == UNCALIBRATED.network_frac
    assert fit.efficiency.exchange_frac == UNCALIBRATED.exchange_frac


def test_the_fit_is_used_by_collective_times() -> None:
    truth = replace(UNCALIBRATED, network_frac=0.6)
    fit = fit_efficiency(FABRIC, [measured(truth)], source="run 7")
    table = collective_time(FABRIC, range(32), "all-reduce", SIZES, efficiency=fit.efficiency)
    assert table.time_s[0] == pytest.approx(np.array(measured(truth).time_s), rel=0.02)
    assert table.efficiency.source == "run 7"


def test_a_fit_that_does_not_fit_is_refused() -> None:
    times = np.geomspace(1.0, 1e-3, len(SIZES)).tolist()  # the larger the faster
    with pytest.raises(InputError, match="do not fit"):
        fit_efficiency(FABRIC, [Measured(range(32), "all-reduce", SIZES, times)])


def test_too_few_measurements_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        fit_efficiency(FABRIC, [Measured(range(32), "all-reduce", [1024], [1e-5])])
