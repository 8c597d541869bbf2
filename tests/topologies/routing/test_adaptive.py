"""Adaptive routing: the fullest link against an exact linear program, and where it is the same as spraying."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from tests.fixtures.clos_fabrics import boxes, leaf_spine, three_tiers
from topologies.fabric import Fabric
from topologies.routing.adaptive import Adaptive
from topologies.routing.flow_links import FlowLinks
from topologies.routing.router import Router, router_for
from topologies.routing.spray import Spray


def nodes(fabric: Fabric, *names: str) -> list[int]:
    return [fabric.node_idx(name) for name in names]


def fullest(fabric: Fabric, flows: FlowLinks, *, trunk_only: bool = True) -> float:
    load = np.bincount(flows.link, weights=flows.share_frac, minlength=fabric.num_links)
    full = load / fabric.link_capacity_bytes_per_s
    return float(full[fabric.link_tier > 1].max(initial=0.0) if trunk_only else full.max())


def best_possible(fabric: Fabric, source: list[int], target: list[int]) -> float:
    """Least fullest trunk link over all splits on shortest ways, by linear programming on (flow, link) variables."""
    sprayed = router_for(fabric).route(source, target, Spray())
    columns = [
        (f, int(link))
        for f in range(len(source))
        for link in sprayed.links_of(f)  # spraying uses every link of every shortest way
    ]
    at = {column: i for i, column in enumerate(columns)}
    equal, wanted = [], []
    for f in range(len(source)):
        mine = [link for flow, link in columns if flow == f]
        for node in {int(n) for link in mine for n in (fabric.link_source[link], fabric.link_target[link])}:
            row = np.zeros(len(columns) + 1)
            for link in mine:
                row[at[f, link]] += (fabric.link_source[link] == node) * 1.0 - (fabric.link_target[link] == node) * 1.0
            equal.append(row)
            wanted.append(1.0 if node == source[f] else -1.0 if node == target[f] else 0.0)
    below = []
    for link in {link for _, link in columns if fabric.link_tier[link] > 1}:
        row = np.zeros(len(columns) + 1)
        for f in range(len(source)):
            if (f, link) in at:
                row[at[f, link]] = 1.0 / fabric.link_capacity_bytes_per_s[link]
        row[-1] = -1.0
        below.append(row)
    cost = np.zeros(len(columns) + 1)
    cost[-1] = 1.0
    answer = linprog(cost, A_ub=below or None, b_ub=np.zeros(len(below)) if below else None, A_eq=equal, b_eq=wanted)
    return float(answer.fun)


def test_alike_links_are_sprayed() -> None:
    for fabric in (leaf_spine(leaves=3, spines=4), three_tiers(), boxes()):
        nic = np.arange(fabric.num_accelerators, fabric.num_accelerators + fabric.num_nics)
        spray = router_for(fabric).route(nic, np.roll(nic, 3), Spray())
        adaptive = router_for(fabric).route(nic, np.roll(nic, 3), Adaptive())
        assert np.array_equal(spray.link, adaptive.link)
        assert np.array_equal(spray.share_frac, adaptive.share_frac)


def test_a_degraded_uplink_gets_its_share_and_no_more() -> None:
    # uplinks of 10 and 5: two thirds and one third of a flow
    whole = leaf_spine(leaves=2, spines=2, up=10.0)
    slow = next(i for i in range(whole.num_links) if whole.link_name(i) == "leaf0 → sp1")
    fabric = whole.with_capacity([slow], 5.0)
    flows = router_for(fabric).route(nodes(fabric, "h0/nic0"), nodes(fabric, "h2/nic0"), Adaptive())
    share = dict(zip((fabric.link_name(int(link)) for link in flows.link), flows.share_frac, strict=True))
    assert share["leaf0 → sp0"] == pytest.approx(2 / 3, abs=0.02)
    assert share["leaf0 → sp1"] == pytest.approx(1 / 3, abs=0.02)
    assert share["h0/nic0 → leaf0"] == pytest.approx(1.0)
    assert share["leaf1 → h2/nic0"] == pytest.approx(1.0)


def test_heavy_flows_weigh_more() -> None:
    whole = leaf_spine(leaves=2, spines=2, hosts=2, up=10.0)
    slow = next(i for i in range(whole.num_links) if whole.link_name(i) == "leaf0 → sp1")
    fabric = whole.with_capacity([slow], 1.0)
    source, target = nodes(fabric, "h0/nic0", "h1/nic0"), nodes(fabric, "h2/nic0", "h3/nic0")
    flows = router_for(fabric).route(source, target, Adaptive(weight=np.array([9.0, 1.0])))
    load = np.bincount(
        flows.link, weights=flows.share_frac * np.array([9.0, 1.0])[flows.entry_flow()], minlength=fabric.num_links
    )
    trunk = fabric.link_tier > 1
    # 10 over uplinks of 10 and 1: 10/11 of each at best; the load of light and heavy flows counts, not their number
    assert (load / fabric.link_capacity_bytes_per_s)[trunk].max() == pytest.approx(10 / 11, rel=0.02)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([0.0, 2.0, 5.0])), min_size=1, max_size=4), st.data())
@settings(max_examples=25, deadline=None)
def test_near_the_best_there_is(faults: list[tuple[int, float]], data: st.DataObject) -> None:
    fabric = three_tiers(pods=2, leaves=2, spines=2)
    trunk = np.flatnonzero(fabric.link_tier > 1)
    for pick, rate in faults:
        if rate:
            fabric = fabric.with_capacity([int(trunk[pick % trunk.size])], rate)
    gone = {int(trunk[pick % trunk.size]) >> 1 for pick, rate in faults if not rate}
    keep_one = [2 * cable for cable in sorted(gone)[:1]]  # at most one cable less: every pair keeps a way
    fabric = fabric.without(links=keep_one)
    nic = list(range(fabric.num_accelerators, fabric.num_accelerators + fabric.num_nics))
    source = data.draw(st.lists(st.sampled_from(nic), min_size=1, max_size=6))
    target = [data.draw(st.sampled_from([n for n in nic if n != s])) for s in source]
    flows = Router(fabric).route(source, target, Adaptive())
    balance = np.zeros((len(source), fabric.num_nodes))
    np.add.at(balance, (flows.entry_flow(), fabric.link_target[flows.link]), flows.share_frac)
    np.add.at(balance, (flows.entry_flow(), fabric.link_source[flows.link]), -flows.share_frac)
    for f, (a, b) in enumerate(zip(source, target, strict=True)):
        balance[f, a] += 1.0
        balance[f, b] -= 1.0
    np.testing.assert_allclose(balance, 0.0, atol=1e-9)
    best = best_possible(fabric, source, target)
    assert fullest(fabric, flows) <= best * 1.05 + 1e-9
    assert fullest(fabric, flows) >= best * (1 - 1e-6)


def test_flows_with_a_choice_make_room_for_those_without() -> None:
    # leaf0 to leaf2 has only sp1 left; leaf0 to leaf1 then takes sp0, though for itself an even split would do
    whole = leaf_spine(leaves=3, spines=2, hosts=1)
    cable = next(i for i in range(whole.num_links) if whole.link_name(i) == "leaf2 → sp0")
    fabric = whole.without(links=[cable])
    flows = router_for(fabric).route(
        nodes(fabric, "h0/nic0", "h0/nic0"), nodes(fabric, "h1/nic0", "h2/nic0"), Adaptive()
    )
    share = dict(zip((fabric.link_name(int(link)) for link in flows.links_of(0)), flows.share_frac, strict=False))
    assert share["leaf0 → sp0"] == pytest.approx(1.0, abs=0.02)
    assert fullest(fabric, flows) == pytest.approx(0.1, rel=0.02)
