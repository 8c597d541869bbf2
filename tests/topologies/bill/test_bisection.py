"""Bisection bandwidth: by hand, closed form against the largest flow, and any graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.clos_fabrics import leaf_spine, three_tiers
from topologies.bill.bisection import bisection_of, closed_form, largest_flow, split_by_place
from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.files.fabric_file import load_fabric


def test_leaf_spine_by_hand() -> None:
    # 4 leaves of 2 hosts at 10; each leaf 10 up to each of 2 spines: no leaf holds back, 2 leaves × 20 cross.
    found = bisection_of(leaf_spine(leaves=4, spines=2, hosts=2, rate=10.0, up=10.0))
    assert found is not None
    assert (found.method, found.bytes_per_s, found.full_bytes_per_s) == ("closed form", 40.0, 40.0)
    # oversubscribed 4:1 by slow uplinks: 2 leaves × 2 × 2.5
    found = bisection_of(leaf_spine(leaves=4, spines=2, hosts=2, rate=10.0, up=2.5))
    assert found is not None
    assert (found.bytes_per_s, found.of_full_frac) == (10.0, 0.25)


def test_three_tiers_are_held_back_by_the_cores() -> None:
    # 2 pods of 2 leaves of 2 hosts at 10: 40 a pod. 2 spines a pod with 1 cable of 10 to one core each: 20 cross.
    fabric = three_tiers(pods=2, leaves=2, spines=2, cores_a_spine=1, hosts=2)
    found = bisection_of(fabric)
    assert found is not None
    assert (found.method, found.bytes_per_s, found.full_bytes_per_s) == ("closed form", 20.0, 40.0)


def test_a_broken_cable_is_found_by_the_flow() -> None:
    fabric = leaf_spine(leaves=2, spines=2, hosts=2, rate=10.0, up=10.0)
    trunk = int(np.flatnonzero(fabric.link_tier == 2)[0])
    broken = fabric.without(links=[trunk])
    assert closed_form(broken, split_by_place(broken)) is None
    found = bisection_of(broken)
    assert found is not None
    assert (found.method, found.bytes_per_s) == ("largest flow", 10.0)


@given(
    st.integers(2, 6),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([5.0, 10.0, 40.0]),
    st.sampled_from([2.5, 10.0, 30.0]),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_the_closed_form_is_the_largest_flow(
    leaves: int, spines: int, hosts: int, rate: float, up: float, cables: int
) -> None:
    fabric = leaf_spine(leaves=leaves, spines=spines, hosts=hosts, rate=rate, up=up, cables=cables)
    half = split_by_place(fabric)
    exact = closed_form(fabric, half)
    if exact is not None:
        assert largest_flow(fabric, half) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(
    "name", ["dgx-h100-superpod-4su", "dgx-b200-superpod-16su", "leaf-spine-4to1", "gb200-nvl72-8-racks"]
)
def test_catalogue_networks_agree(name: str) -> None:
    fabric = load_fabric(name)
    half = split_by_place(fabric)
    exact = closed_form(fabric, half)
    assert exact is not None
    assert largest_flow(fabric, half) == pytest.approx(exact, rel=1e-9)


def test_a_torus_is_cut_across() -> None:
    # 4 × 4 × 4 chips with links of 100 GB/s: two planes of 16 links are cut.
    found = bisection_of(load_fabric("tpu-v5p-cube"))
    assert found is not None
    assert (found.network, found.bytes_per_s) == ("scale-up", pytest.approx(32 * 100e9))


def two_islands() -> Fabric:
    """Two groups of 4 hosts, named so that their order mixes them, joined by one cable of 1.

       sw0 ──1── sw1
      /||\\      /||\\
     h0 h2…     h1 h3…
    """
    builder = FabricBuilder("islands")
    switches = builder.add_switches(["sw0", "sw1"], tier=1)
    hosts = builder.add_hosts([f"h{i}" for i in range(8)], accelerators=1, nics=1, host_link_bytes_per_s=10.0)
    builder.add_cables(hosts.nic[:, 0], switches[np.arange(8) % 2], rate_bytes_per_s=10.0)
    builder.add_cables(switches[0], switches[1], rate_bytes_per_s=1.0)
    return builder.build()


def test_the_narrow_place_of_any_graph_is_found() -> None:
    found = bisection_of(two_islands())
    assert found is not None
    assert found.bytes_per_s == pytest.approx(1.0)


def test_one_host_has_no_bisection() -> None:
    builder = FabricBuilder("one")
    leaf = builder.add_switches(["leaf"])
    host = builder.add_hosts(["h"], accelerators=2, nics=2, host_link_bytes_per_s=1.0)
    builder.add_cables(host.nic, leaf, rate_bytes_per_s=1.0)
    assert bisection_of(builder.build()) is None
