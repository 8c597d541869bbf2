"""Job max-min: hand-worked answers, a plain referee, and the conditions every max-min answer meets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.congestion.incidence import Incidence
from planner.congestion.maxmin import NO_LINK, bottleneck_rates, link_rate, max_min_rates
from topologies.errors import InputError


def fill_one_by_one(rows: list[dict[int, float]], capacity: list[float], limit: list[float]) -> list[float]:
    """Progressive filling as the textbook tells it: raise all, freeze what the first full link or limit stops."""
    rate = [0.0] * len(rows)
    rising = set(range(len(rows)))
    left = list(capacity)
    while rising:
        steps = [limit[j] for j in rising]
        for link in range(len(capacity)):
            load = sum(rows[j].get(link, 0.0) for j in rising)
            if load > 0:
                steps.append(left[link] / load)
        level = min(steps)
        full = {
            link
            for link in range(len(capacity))
            if (load := sum(rows[j].get(link, 0.0) for j in rising)) > 0 and left[link] / load <= level * (1 + 1e-12)
        }
        stopped = {j for j in rising if limit[j] <= level or any(link in full for link in rows[j])}
        for j in stopped:
            rate[j] = level
            for link, times in rows[j].items():
                left[link] = max(0.0, left[link] - times * level)
        rising -= stopped
    return rate


def build(rows: list[dict[int, float]], num_links: int) -> Incidence:
    triples = [(j, link, times) for j, row in enumerate(rows) for link, times in row.items()]
    row, link, times = ([t[i] for t in triples] for i in range(3))
    return Incidence.from_entries(row, link, times, num_rows=len(rows), num_links=num_links)


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[dict[int, float]], list[float], list[float]]:
    num_links = draw(st.integers(1, 8))
    num_rows = draw(st.integers(1, 10))
    capacity = draw(st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0]), min_size=num_links, max_size=num_links))
    rows = [
        draw(
            st.dictionaries(
                st.integers(0, num_links - 1), st.sampled_from([0.125, 0.5, 1.0, 2.0, 3.0]), min_size=1, max_size=4
            )
        )
        for _ in range(num_rows)
    ]
    limit = draw(st.lists(st.sampled_from([np.inf, 0.3, 1.0, 4.0]), min_size=num_rows, max_size=num_rows))
    return rows, capacity, limit


def test_three_rows_on_two_links() -> None:
    #   row 0: a b      a = 10, b = 4
    #   row 1: a
    #   row 2:   b      b stops rows 0 and 2 at 2; row 1 takes the 8 left on a
    result = max_min_rates(build([{0: 1, 1: 1}, {0: 1}, {1: 1}], 2), np.array([10.0, 4.0]))
    assert result.rate_bytes_per_s.tolist() == [2.0, 8.0, 2.0]
    assert result.bottleneck_link.tolist() == [1, 0, 1]


def test_a_ring_that_crosses_a_link_twice_weighs_twice() -> None:
    # 3·x = 9 on the shared link: both rows at 3; the ring puts 6 on it
    incidence = build([{0: 2.0}, {0: 1.0}], 1)
    result = max_min_rates(incidence, np.array([9.0]))
    assert result.rate_bytes_per_s.tolist() == [3.0, 3.0]
    assert link_rate(incidence, result.rate_bytes_per_s).tolist() == [9.0]


def test_limits_free_what_they_do_not_use() -> None:
    result = max_min_rates(
        build([{0: 1.0}, {0: 1.0}], 1), np.array([9.0]), rate_limit_bytes_per_s=np.array([2.0, np.inf])
    )
    assert result.rate_bytes_per_s.tolist() == [2.0, 7.0]
    assert result.bottleneck_link.tolist() == [NO_LINK, 0]


def test_a_link_that_is_down_stops_only_its_rows() -> None:
    result = max_min_rates(build([{0: 1.0}, {1: 1.0}], 2), np.array([0.0, 5.0]))
    assert result.rate_bytes_per_s.tolist() == [0.0, 5.0]


def test_a_row_without_links_is_unlimited() -> None:
    incidence = Incidence(np.array([0, 0, 1]), np.array([0]), np.array([1.0]), 1)
    result = max_min_rates(incidence, np.array([5.0]))
    assert result.rate_bytes_per_s.tolist() == [np.inf, 5.0]
    assert result.bottleneck_link.tolist() == [NO_LINK, 0]


def test_nothing_at_all() -> None:
    empty = Incidence(np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0), 0)
    assert max_min_rates(empty, np.zeros(0)).rate_bytes_per_s.size == 0


def test_naive_rate_is_the_worst_fair_share() -> None:
    # link 0 shared by three at 2 each; row 2 is held to 0.5 on link 1, which naive does not hand on
    incidence = build([{0: 1}, {0: 1}, {0: 1, 1: 1}], 2)
    capacity = np.array([6.0, 0.5])
    assert bottleneck_rates(incidence, capacity).rate_bytes_per_s.tolist() == [2.0, 2.0, 0.5]
    assert max_min_rates(incidence, capacity).rate_bytes_per_s.tolist() == [2.75, 2.75, 0.5]


@given(networks())
@settings(max_examples=400, deadline=None)
def test_equals_filling_one_by_one(network: tuple[list[dict[int, float]], list[float], list[float]]) -> None:
    rows, capacity, limit = network
    ours = max_min_rates(build(rows, len(capacity)), np.array(capacity), rate_limit_bytes_per_s=np.array(limit))
    np.testing.assert_allclose(ours.rate_bytes_per_s, fill_one_by_one(rows, capacity, limit), rtol=1e-9, atol=1e-12)


@given(networks())
@settings(max_examples=200, deadline=None)
def test_every_row_is_held_by_its_limit_or_a_full_link_where_none_is_faster(
    network: tuple[list[dict[int, float]], list[float], list[float]],
) -> None:
    rows, capacity, limit = network
    incidence = build(rows, len(capacity))
    result = max_min_rates(incidence, np.array(capacity), rate_limit_bytes_per_s=np.array(limit))
    rate, load = result.rate_bytes_per_s, link_rate(incidence, result.rate_bytes_per_s)
    assert np.all(load <= np.array(capacity) * (1 + 1e-9))
    for j, row in enumerate(rows):
        link = int(result.bottleneck_link[j])
        if link == NO_LINK:
            assert rate[j] == limit[j]
            continue
        assert link in row
        assert load[link] == pytest.approx(capacity[link], rel=1e-9)
        assert all(rate[k] <= rate[j] * (1 + 1e-9) for k, other in enumerate(rows) if link in other)


@given(networks(), st.integers(0, 7), st.sampled_from([1.5, 2.0, 10.0]))
@settings(max_examples=100, deadline=None)
def test_more_capacity_never_hurts_the_slowest(
    network: tuple[list[dict[int, float]], list[float], list[float]], link: int, factor: float
) -> None:
    rows, capacity, limit = network
    incidence = build(rows, len(capacity))
    before = max_min_rates(incidence, np.array(capacity), rate_limit_bytes_per_s=np.array(limit)).rate_bytes_per_s
    more = np.array(capacity)
    more[link % len(capacity)] *= factor
    after = max_min_rates(incidence, more, rate_limit_bytes_per_s=np.array(limit)).rate_bytes_per_s
    # Max-min is the lexicographically largest sorted vector, so the sorted rates can only rise at the first change.
    for old, new in zip(np.sort(before), np.sort(after), strict=True):
        if abs(new - old) > 1e-9 * old:
            assert new > old
            break


@given(networks(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_new_names_for_rows_and_links_keep_the_rates(
    network: tuple[list[dict[int, float]], list[float], list[float]], random: np.random.Generator
) -> None:
    rows, capacity, limit = network
    row_order, link_name = list(range(len(rows))), list(range(len(capacity)))
    random.shuffle(row_order)
    random.shuffle(link_name)
    renamed = [{link_name[link]: times for link, times in rows[j].items()} for j in row_order]
    moved = [0.0] * len(capacity)
    for link, value in enumerate(capacity):
        moved[link_name[link]] = value
    one = max_min_rates(build(rows, len(capacity)), np.array(capacity), rate_limit_bytes_per_s=np.array(limit))
    two = max_min_rates(
        build(renamed, len(capacity)), np.array(moved), rate_limit_bytes_per_s=np.array(limit)[row_order]
    )
    np.testing.assert_allclose(two.rate_bytes_per_s, one.rate_bytes_per_s[row_order], rtol=1e-9)


def test_arrays_cannot_be_written() -> None:
    link = np.array([0])
    incidence = Incidence(np.array([0, 1]), link, np.array([1.0]), 1)
    link[0] = 7
    assert incidence.link.tolist() == [0]
    with pytest.raises(ValueError, match="read-only"):
        incidence.link[0] = 1


@pytest.mark.parametrize(
    ("row_start", "link", "multiplicity", "what"),
    [
        ([0, 2], [0], [1.0], "does not span"),
        ([0, 2, 1, 2], [0, 1], [1.0, 1.0], "falls"),
        ([0, 1], [9], [1.0], "out of range"),
        ([0, 1], [0], [0.0], "not above zero"),
        ([0, 1], [0], [float("nan")], "not above zero"),
        ([0, 1], [0], [1.0, 2.0], "differ"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    row_start: list[int], link: list[int], multiplicity: list[float], what: str
) -> None:
    with pytest.raises(InputError, match=what):
        Incidence(np.array(row_start), np.array(link), np.array(multiplicity), 3)


def test_capacity_of_the_wrong_shape_or_sign_is_refused() -> None:
    incidence = build([{0: 1.0}], 1)
    with pytest.raises(InputError, match="one capacity a link"):
        max_min_rates(incidence, np.ones(2))
    with pytest.raises(InputError, match="below zero"):
        max_min_rates(incidence, np.array([-1.0]))
