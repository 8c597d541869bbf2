"""Dispatch and combine: expected units and ranks against counting every choice, bytes and times by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.collectives.efficiency import UNCALIBRATED
from planner.collectives.moe import Experts, MoeTable, moe_times
from tests.planner.collectives.nccl_fabrics import B200, H100, hosts_on_rails
from topologies.errors import InputError

FABRIC = hosts_on_rails(H100, hosts=4)
GB = 1e9


def times(hosts: int, experts: Experts, *, tokens: float = 8192, bytes_a_token: float = 14336) -> MoeTable:
    return moe_times(FABRIC, [range(8 * hosts)], experts, tokens=tokens, bytes_a_token=bytes_a_token)


def counted(num_experts: int, top_k: int, units: int, limit: int | None = None) -> tuple[float, float]:
    """Return expected distinct units and ranks by going through all choices; 8 ranks a unit."""
    ranks = 8 * units
    a_rank = num_experts // ranks
    reached_units, reached_ranks = [], []
    for allowed in combinations(range(units), limit or units):
        pool = [e for e in range(num_experts) if e // (8 * a_rank) in allowed]
        for chosen in combinations(pool, top_k):
            reached_units.append(len({e // (8 * a_rank) for e in chosen}))
            reached_ranks.append(len({e // a_rank for e in chosen}))
    return float(np.mean(reached_units)), float(np.mean(reached_ranks))


@pytest.mark.parametrize(
    ("num_experts", "top_k", "units", "limit"),
    [(16, 1, 2, None), (16, 3, 2, None), (32, 4, 2, None), (24, 3, 3, None), (24, 3, 3, 2), (32, 3, 4, 1)],
)
def test_units_and_ranks_a_token_are_those_of_every_choice(
    num_experts: int, top_k: int, units: int, limit: int | None
) -> None:
    table = times(units, Experts(num_experts, top_k, limit))
    expected = counted(num_experts, top_k, units, limit)
    assert (table.units_a_token[0], table.ranks_a_token[0]) == pytest.approx(expected)


def test_bytes_and_time_by_hand() -> None:
    # Two hosts, every expert chosen: each token goes to the other host once (1 × its bytes over the NIC of its rail),
    # and to the 7 other ranks of both hosts over NVLink.
    table = times(2, Experts(16, 16), tokens=1e6, bytes_a_token=1e4)
    assert table.units_a_token[0] == pytest.approx(2)
    assert table.nic_bytes[0] == pytest.approx(1e10)
    assert table.scale_up_bytes[0] == pytest.approx(14e10)
    assert table.logical_bytes[0] == pytest.approx(2e10)
    # NVLink is the slower way: 14 × 10 GB at 450 GB/s, of which NCCL counts 18 × 20.6 and an exchange gets 0.92
    assert table.time_s[0] == pytest.approx(14e10 / (18 * 20.6 * GB * UNCALIBRATED.exchange_frac), rel=0.01)


def test_nics_hold_back_what_leaves_the_host() -> None:
    # One expert a token: half of them leave, at 50 GB/s a rail.
    table = times(2, Experts(16, 1), tokens=1e6, bytes_a_token=1e4)
    assert table.nic_bytes[0] == pytest.approx(0.5e10)
    assert table.time_s[0] == pytest.approx(0.5e10 / (50 * GB * UNCALIBRATED.exchange_frac), rel=0.01)
    assert "nic" in FABRIC.link_name(int(table.bottleneck_link[0]))


def test_published_bandwidths() -> None:
    # DeepEP's README: 8192 tokens, hidden 7168, 8 of 256 experts; GB/s by its own counting of bytes.
    for hosts, published in ((2, 90.0), (4, 61.0)):
        table = times(hosts, Experts(256, 8))
        assert table.logical_bytes[0] / table.time_s[0] / GB == pytest.approx(published, rel=0.03)
    alone = moe_times(
        hosts_on_rails(B200, scale_up_gb_per_s=900), [range(8)], Experts(256, 8), tokens=8192, bytes_a_token=14336
    )
    assert alone.logical_bytes[0] / alone.time_s[0] / GB == pytest.approx(740, rel=0.03)


@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 4))
def test_a_limit_on_units_never_sends_more(hosts: int, top_k: int, limit: int) -> None:
    free = times(hosts, Experts(32 * hosts, top_k))
    held = times(hosts, Experts(32 * hosts, top_k, limit))
    assert held.units_a_token[0] <= min(limit, hosts) + 1e-9
    assert held.nic_bytes[0] <= free.nic_bytes[0] * (1 + 1e-9) + 1e-6


def test_several_groups_at_once_are_those_alone() -> None:
    experts = Experts(96, 4)
    both = moe_times(FABRIC, [range(16), range(32)], experts, tokens=100, bytes_a_token=100)
    assert both.time_s.tolist() == [
        moe_times(FABRIC, [range(n)], experts, tokens=100, bytes_a_token=100).time_s[0] for n in (16, 32)
    ]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Experts(8, 9), "cannot choose so many experts"),
        (lambda: Experts(8, 1, 0), "max_units"),
        (lambda: times(2, Experts(24, 2)), "do not spread evenly"),
        (lambda: times(4, Experts(32, 9, 1)), "too few experts"),
        (lambda: times(2, Experts(16, 2), tokens=0), "nothing to send"),
    ],
)
def test_misuse_is_refused(make, what: str) -> None:
    with pytest.raises(InputError, match=what):
        make()
