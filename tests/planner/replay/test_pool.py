from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.replay.fill import arrivals, fill
from planner.replay.fragmentation import Fragmentation, Mix
from planner.replay.pool import Ask, HostPool
from planner.replay.scheduler import get_scheduler, scheduler_names
from topologies.errors import InputError


#
# Two hosts: h0 with 2 accelerators and 8 processors, h1 with 4 and 16.
def two_hosts() -> HostPool:
    return HostPool([2, 4], cpu_milli=[8000, 16000], models=["A", "B"])


def test_fragmentation_by_hand() -> None:
    pool = two_hosts()
    mix = Mix((Ask(1, 600, 1000), Ask(4, 1000, 1000)), (0.5, 0.5))
    # h0: the share can use all 2,000; no host of two holds an ask of four: 0.5 × 2,000. h1 can be used by both.
    assert Fragmentation(mix, pool).of(pool, np.arange(2)).tolist() == [1000.0, 0.0]
    pool.take(pool.grant_on(1, Ask(1, 600, 1000)))
    # h1: 3,400 left, 400 of it on a GPU too full for the share; three whole ones do not hold four.
    assert Fragmentation(mix, pool).of(pool, np.array([1])).tolist() == [0.5 * 400 + 0.5 * 3400]


def test_reach_counts_what_the_processor_can_feed() -> None:
    pool = HostPool([8], cpu_milli=[8000])
    mix = Mix((Ask(1, 1000, 4000),), (1.0,))
    assert Fragmentation(mix, pool).of(pool, np.array([0])).tolist() == [0.0]
    assert Fragmentation(mix, pool, 1.0).of(pool, np.array([0])).tolist() == [6000.0]  # two asks, then no processor
    assert Fragmentation(mix, pool, 0.5).of(pool, np.array([0])).tolist() == [3000.0]


@pytest.mark.parametrize("reach_frac", [0.0, 0.5, 1.0])
@given(
    taken=st.lists(st.integers(0, 1000), min_size=4, max_size=4),
    cpu=st.integers(2000, 20000),
    ask=st.sampled_from([Ask(1, 300, 2000), Ask(1, 1000, 1000), Ask(2, 1000, 500), Ask(0, 1000, 2000)]),
)
def test_what_if_is_what_comes_out(reach_frac: float, taken: list[int], cpu: int, ask: Ask) -> None:
    pool = HostPool([4], cpu_milli=[cpu])
    for gpu, milli in enumerate(taken):
        if milli:
            pool.take(pool.grant_on(0, Ask(1, milli), gpu) if milli < 1000 else pool.grant_on(0, Ask(1, 999), gpu))
    if not pool.fits(ask)[0]:
        return
    mix = Mix((Ask(1, 300, 4000), Ask(2, 1000, 1000), Ask(0, 1000, 100)), (0.5, 0.3, 0.2))
    measure = Fragmentation(mix, pool, reach_frac)
    after, gpu_of = measure.after(pool, np.array([0]), ask)
    pool.take(pool.grant_on(0, ask, int(gpu_of[0]) if ask.is_share else None))
    assert measure.of(pool, np.array([0]))[0] == pytest.approx(after[0])


def test_mix_keeps_the_most_frequent_kinds() -> None:
    asks = [Ask(1)] * 6 + [Ask(2)] * 3 + [Ask(4)]
    mix = Mix.of(asks).typical(0.9)
    assert mix.asks == (Ask(1), Ask(2))
    assert mix.often == pytest.approx((6 / 9, 3 / 9))


def test_arrivals_are_grown_and_thinned_to_the_load() -> None:
    for asks in ([Ask(1)] * 3, [Ask(1)] * 40):
        found = arrivals(asks, 10_000, load_frac=1.3, seed=1)
        assert sum(ask.total_milli for ask in found) == 13_000


def test_a_pool_gives_no_more_than_it_has() -> None:
    pool = two_hosts()
    grant = pool.grant_on(0, Ask(2))
    pool.take(grant)
    with pytest.raises(InputError, match="not there"):
        pool.take(grant)
    pool.give_back(grant)
    assert pool.left.tolist() == [2000, 4000]
    assert pool.whole.tolist() == [2, 4]


@pytest.mark.parametrize("name", scheduler_names())
def test_every_scheduler_fills_and_never_overfills(name: str) -> None:
    pool = HostPool([2, 4, 8, 8], cpu_milli=16_000, models=["A", "B", "B", "B"])
    kinds = [Ask(1, 500, 1000), Ask(1, 1000, 1000), Ask(4, 1000, 4000, models=("B",)), Ask(0, 1000, 500)]
    asks = arrivals(kinds * 10, pool.capacity_milli, load_frac=1.5, seed=3)
    curve = fill(pool, asks, get_scheduler(name), Mix.of(kinds), seed=3)
    assert 0.7 < curve.final_frac <= 1
    assert int(pool.left.sum()) == round(pool.capacity_milli * (1 - curve.final_frac))
    assert (pool.gpu_left >= 0).all()
    assert (pool.cpu_left >= 0).all()
    assert curve.refused > 0


@pytest.mark.parametrize("name", scheduler_names())
def test_a_gang_gets_different_hosts_or_nothing(name: str) -> None:
    pool = HostPool([8] * 4, leaf=[0, 0, 1, 1])
    scheduler = get_scheduler(name)
    scheduler.prepare(pool, Mix((Ask(8),), (1.0,)), seed=1)
    grants = scheduler.choose(pool, (Ask(8), Ask(8), Ask(4)))
    assert grants is not None
    assert len({grant.host for grant in grants}) == 3
    assert pool.left.sum() == pool.capacity_milli
    assert scheduler.choose(pool, (Ask(8),) * 5) is None
    assert pool.left.sum() == pool.capacity_milli


def test_an_unknown_scheduler_names_those_there_are() -> None:
    with pytest.raises(InputError, match="first-fit"):
        get_scheduler("nope")


def test_mig_instances_share_an_accelerator_as_their_places_allow() -> None:
    """An accelerator has 7 compute and 8 memory slices: 3g + 3g fill its memory, 4g + 3g both, 4g + 4g never fit."""
    pool = HostPool([1, 1])
    three, four, one = (Ask(1, 125 * m, slices=(c, m)) for c, m in ((3, 4), (4, 4), (1, 1)))
    first = pool.grant_on(0, four)
    pool.take(first)
    assert pool.fits(three).tolist() == [True, True]
    assert pool.fits(four).tolist() == [False, True]
    assert pool.fits(Ask(1, 100)).tolist() == [False, True]  # cut up: nothing left for plain parts
    assert pool.left.tolist() == [500, 1000]
    second = pool.grant_on(0, three)
    pool.take(second)
    assert pool.fits(one).tolist() == [False, True]  # all memory slices are taken
    assert pool.left.tolist() == [0, 1000]
    with pytest.raises(InputError):
        pool.take(pool.grant_on(0, one))
    pool.give_back(first)
    assert pool.fits(four).tolist() == [True, True]
    pool.give_back(second)
    assert pool.whole.tolist() == [1, 1]
    assert pool.left.tolist() == [1000, 1000]
    for _ in range(7):
        pool.take(pool.grant_on(0, one))
    assert pool.fits(one).tolist() == [False, True]  # seven compute slices, though one memory slice is left
