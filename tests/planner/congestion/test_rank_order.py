"""Rank orders: rings that leave each leaf and pod once, and parallel groups kept where they belong."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from planner.congestion.parallel_layout import ParallelLayout
from planner.congestion.rank_order import best_rank_order, communication_s, locality_order, ring_crossings
from tests.fixtures.clos_fabrics import leaf_spine, rail_pods
from topologies.errors import InputError
from topologies.routing.dmodk import DModK
from topologies.routing.spray import Spray

PODS = rail_pods(pods=2, groups=2, hosts=2, rails=2, up=2.0)  # 8 hosts of 2 accelerators, thin uplinks
HALVES = [0, 8, 1, 9, 4, 12, 5, 13, 2, 10, 3, 11, 6, 14, 7, 15]  # back and forth between the pods


def test_a_ring_crosses_each_leaf_and_pod_once() -> None:
    result = best_rank_order(PODS, HALVES, ParallelLayout(dp=16, dp_bytes=1e3), Spray())
    assert (result.given_leaf_crossings, result.given_pod_crossings) == (8, 8)
    assert (result.leaf_crossings, result.pod_crossings) == (4, 2)
    assert sorted(result.ranks) == sorted(HALVES)
    assert result.time_s < result.given_time_s
    assert result.gain_frac == pytest.approx(1 - result.time_s / result.given_time_s)


def test_nothing_beats_it_on_four_hosts() -> None:
    fabric = leaf_spine(leaves=2, spines=1, hosts=2)
    layout = ParallelLayout(dp=4, dp_bytes=1e3)
    best = best_rank_order(fabric, [0, 2, 1, 3], layout, DModK())
    every = [communication_s(fabric, order, layout, DModK()) for order in itertools.permutations(range(4))]
    assert best.time_s == pytest.approx(min(every))
    assert best.given_time_s == pytest.approx(max(every))


def test_a_good_order_stays_as_it_is() -> None:
    straight = list(range(16))
    result = best_rank_order(PODS, straight, ParallelLayout(dp=16, dp_bytes=1e3), Spray())
    assert result.ranks.tolist() == straight
    assert result.gain_frac == 0.0


def test_tensor_neighbours_share_a_domain() -> None:
    layout = ParallelLayout(tp=2, dp=8, tp_bytes=1e4, dp_bytes=1.0)
    result = best_rank_order(PODS, HALVES, layout, Spray())
    pairs = result.ranks[layout.groups("tp")]
    assert np.all(PODS.accelerator_domain[pairs[:, 0]] == PODS.accelerator_domain[pairs[:, 1]])


def test_data_rings_stay_local_and_the_pipeline_crosses() -> None:
    # four stages of two replicas: gradients are heavy, activations light, so each data ring stays in a leaf group
    layout = ParallelLayout(tp=2, dp=2, pp=4, tp_bytes=1.0, dp_bytes=1e4, pp_bytes=1.0)
    result = best_rank_order(PODS, HALVES, layout, Spray())
    group = PODS.host_leaf_group[PODS.accelerator_host[result.ranks[layout.groups("dp")]]]
    assert np.all(group == group[:, :1])
    # and the other way round
    layout = ParallelLayout(tp=2, dp=4, pp=2, tp_bytes=1.0, dp_bytes=1.0, pp_bytes=1e4)
    result = best_rank_order(PODS, HALVES, layout, Spray())
    group = PODS.host_leaf_group[PODS.accelerator_host[result.ranks[layout.groups("pp")]]]
    assert np.all(group == group[:, :1])


def test_units_that_blocks_do_not_fill_are_used_up() -> None:
    # three accelerators of two hosts each: blocks of two leave one over in each
    chosen = [0, 1, 2, 4, 5, 6]
    layout = ParallelLayout(tp=2, dp=3, tp_bytes=1e3, dp_bytes=1e3)
    result = best_rank_order(PODS, chosen, layout, Spray())
    assert sorted(result.ranks) == chosen


def test_groups_follow_megatrons_numbering() -> None:
    layout = ParallelLayout(tp=2, cp=1, dp=4, pp=2, ep=2)
    assert layout.groups("tp")[0].tolist() == [0, 1]
    assert layout.groups("dp")[0].tolist() == [0, 2, 4, 6]
    assert layout.groups("ep")[0].tolist() == [0, 2]
    assert layout.groups("pp")[0].tolist() == [0, 8]
    for axis in ("tp", "cp", "ep", "dp", "pp"):
        assert sorted(layout.groups(axis).ravel().tolist()) == list(range(16))  # type: ignore[arg-type]


def test_locality_order_keeps_domains_together() -> None:
    order = locality_order(PODS, HALVES)
    domain = PODS.accelerator_domain[order]
    assert np.count_nonzero(np.diff(domain)) == len(set(domain.tolist())) - 1
    assert ring_crossings(PODS.host_pod, PODS, order) == 2


@pytest.mark.parametrize("bad", [{"tp": 0}, {"dp": 4, "ep": 3}, {"dp_bytes": -1.0}, {"pp_bytes": float("nan")}])
def test_bad_layouts_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InputError):
        ParallelLayout(**bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="does not fit"):
        best_rank_order(PODS, [0, 1], ParallelLayout(dp=3), Spray())
