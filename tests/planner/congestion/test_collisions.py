"""Hash collisions: probabilities worked out by hand, and what more paths do."""

from __future__ import annotations

import numpy as np
import pytest

from planner.collectives.traffic import Demand, job_flows
from planner.congestion.collisions import collisions
from tests.fixtures.clos_fabrics import leaf_spine
from topologies.errors import InputError


def test_two_rings_collide_on_one_of_two_spines_as_often_as_coins_say() -> None:
    # Each ring has one flow up from leaf0 and one from leaf1; uplinks as fast as NICs. A ring is slowed if it meets the
    # other on the way there (1/2) or on the way back (1/2): not at all with probability 1/4, else by 2.
    fabric = leaf_spine(spines=2)
    report = collisions(fabric, job_flows(fabric, [[0, 2], [1, 3]], [Demand(80)] * 2), num_samples=2000, seed=1)
    assert np.array_equal(report.slowdown()[:, 0], report.slowdown()[:, 1])
    assert set(np.round(report.slowdown().ravel(), 9)) == {1.0, 2.0}
    slowed = np.mean(report.slowdown()[:, 0] > 1.5)
    assert slowed == pytest.approx(0.75, abs=5 * np.sqrt(0.75 * 0.25 / 2000))
    assert np.all(report.alone_s == 8.0)
    assert report.quantiles()[:, 0].tolist() == [2.0, 2.0, 2.0]


def test_more_paths_spread_better() -> None:
    fabric = leaf_spine(leaves=2, spines=8, hosts=8)
    flows = job_flows(fabric, [[i, 8 + i] for i in range(8)], [Demand(80)] * 8)
    one = collisions(fabric, flows, num_samples=60)
    many = collisions(fabric, flows, num_samples=60, paths_a_flow=16)
    assert many.slowdown().mean() < one.slowdown().mean()
    assert many.busiest_to_mean.mean() < one.busiest_to_mean.mean()


def test_nothing_to_collide_on() -> None:
    fabric = leaf_spine(spines=1)
    report = collisions(fabric, job_flows(fabric, [[0, 1], [2]], [Demand(80)] * 2), num_samples=3)
    assert np.all(report.slowdown() == 1.0)
    assert np.all(report.busiest_to_mean == 1.0)


def test_same_seed_same_draws() -> None:
    fabric = leaf_spine(spines=2)
    flows = job_flows(fabric, [[0, 2], [1, 3]], [Demand(80)] * 2)
    one, two, other = (collisions(fabric, flows, num_samples=20, seed=s).time_s for s in (7, 7, 8))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_bad_numbers_are_refused() -> None:
    fabric = leaf_spine()
    flows = job_flows(fabric, [[0, 2]], [Demand(80)])
    with pytest.raises(InputError, match="no draw"):
        collisions(fabric, flows, num_samples=0)
    with pytest.raises(InputError, match="needs a path"):
        collisions(fabric, flows, paths_a_flow=0)
