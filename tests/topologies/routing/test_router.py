"""Routing: hand-worked paths, fast tables against the general search, and what every answer must obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.clos_fabrics import boxes, leaf_spine, three_tiers
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.routing.channels import Channels
from topologies.routing.clos import GENERAL
from topologies.routing.dmodk import DModK
from topologies.routing.ecmp import Ecmp
from topologies.routing.flow_links import FlowLinks
from topologies.routing.network import NetworkTables, Routing
from topologies.routing.router import Router, router_for
from topologies.routing.spray import Spray

SINGLE_WAY: list[Routing] = [Ecmp(seed=3), DModK()]


def nodes(fabric: Fabric, *names: str) -> list[int]:
    return [fabric.node_idx(name) for name in names]


def split_of(fabric: Fabric, flows: FlowLinks, flow: int) -> dict[str, float]:
    row = slice(flows.flow_start[flow], flows.flow_start[flow + 1])
    return {
        fabric.link_name(int(link)): float(share)
        for link, share in zip(flows.link[row], flows.share_frac[row], strict=True)
    }


def all_pairs(fabric: Fabric) -> tuple[np.ndarray, np.ndarray]:
    nic = np.arange(fabric.num_accelerators, fabric.num_accelerators + fabric.num_nics)
    source, target = np.meshgrid(nic, nic)
    return source.ravel(), target.ravel()


def link_shares(fabric: Fabric, flows: FlowLinks) -> np.ndarray:
    out = np.zeros((flows.num_flows, fabric.num_links))
    np.add.at(out, (flows.entry_flow(), flows.link), flows.share_frac)
    return out


def assert_conserved(fabric: Fabric, flows: FlowLinks, source: np.ndarray, target: np.ndarray) -> None:
    """What leaves the source arrives at the target, nothing is lost on the way, no endpoint passes anything on."""
    share = link_shares(fabric, flows)
    for f in range(flows.num_flows):
        balance = np.zeros(fabric.num_nodes)
        np.add.at(balance, fabric.link_target, share[f])
        np.add.at(balance, fabric.link_source, -share[f])
        want = np.zeros(fabric.num_nodes)
        if source[f] != target[f]:
            want[source[f]], want[target[f]] = -1.0, 1.0
        np.testing.assert_allclose(balance, want, atol=1e-12)


def test_spray_splits_over_both_spines() -> None:
    fabric = leaf_spine()
    source, target = nodes(fabric, "h0/nic0", "h0/nic0"), nodes(fabric, "h2/nic0", "h1/nic0")
    flows = router_for(fabric).route(source, target, Spray())
    assert split_of(fabric, flows, 0) == {
        "h0/nic0 → leaf0": 1.0,
        "leaf0 → sp0": 0.5,
        "leaf0 → sp1": 0.5,
        "sp0 → leaf1": 0.5,
        "sp1 → leaf1": 0.5,
        "leaf1 → h2/nic0": 1.0,
    }
    assert split_of(fabric, flows, 1) == {"h0/nic0 → leaf0": 1.0, "leaf0 → h1/nic0": 1.0}


def test_accelerators_go_out_through_their_nearest_nic() -> None:
    fabric = boxes()  # 4 accelerators, 2 NICs: gpu3 is nearest to nic1
    flows = router_for(fabric).route(nodes(fabric, "h0/gpu3"), nodes(fabric, "h1/gpu3"), Spray())
    assert list(split_of(fabric, flows, 0)) == [
        "h0/gpu3 → h0/nic1",
        "h0/nic1 → rail1",
        "rail1 → h1/nic1",
        "h1/nic1 → h1/gpu3",
    ]


@pytest.mark.parametrize("direct", [False, True])
def test_accelerators_of_one_domain_stay_in_it(direct: bool) -> None:
    fabric = boxes(direct=direct)
    flows = router_for(fabric).route(nodes(fabric, "h0/gpu0"), nodes(fabric, "h0/gpu3"), Ecmp())
    assert np.all(fabric.link_kind[flows.link] == LinkKind.SCALE_UP)
    expected = [1.0] if direct else [0.5, 0.5, 0.5, 0.5]
    assert flows.share_frac.tolist() == expected


def test_a_flow_to_itself_uses_nothing() -> None:
    fabric = leaf_spine()
    flows = router_for(fabric).route(nodes(fabric, "h0/nic0"), nodes(fabric, "h0/nic0"), Spray())
    assert flows.link.size == 0
    assert flows.flow_start.tolist() == [0, 0]


@pytest.mark.parametrize(
    "fabric",
    [
        leaf_spine(leaves=3, spines=2, cables=2),
        three_tiers(),
        three_tiers(pods=3, leaves=4, spines=3, cores_a_spine=1),
        three_tiers(dual=True),
        boxes(),
    ],
    ids=["parallel cables", "three tiers", "wider", "dual-homed", "rails"],
)
def test_tables_and_search_give_the_same_split(fabric: Fabric) -> None:
    source, target = all_pairs(fabric)
    router, searched = Router(fabric), Router(fabric)
    tables = router.scale_out.clos
    assert tables is not None
    group = router.scale_out.plane.group
    assert np.all(tables.heights(group[source], group[target]) != GENERAL)
    searched.scale_out.__dict__["clos"] = None  # leaves the general search alone
    fast, slow = router.route(source, target, Spray()), searched.route(source, target, Spray())
    np.testing.assert_allclose(link_shares(fabric, fast), link_shares(fabric, slow), atol=1e-12)
    assert_conserved(fabric, fast, source, target)


@pytest.mark.parametrize("fabric", [leaf_spine(leaves=3, cables=2), three_tiers(), three_tiers(dual=True)])
@pytest.mark.parametrize("routing", SINGLE_WAY, ids=["ecmp", "dmodk"])
@pytest.mark.parametrize("use_tables", [True, False])
def test_one_way_flows_take_one_of_the_shortest_ways(fabric: Fabric, routing: Routing, use_tables: bool) -> None:
    source, target = all_pairs(fabric)
    router = Router(fabric)
    sprayed = link_shares(fabric, router.route(source, target, Spray()))
    if not use_tables:
        router.scale_out.__dict__["clos"] = None
    flows = router.route(source, target, routing)
    assert np.all(flows.share_frac == 1.0)
    assert np.all(sprayed[flows.entry_flow(), flows.link] > 0)
    assert_conserved(fabric, flows, source, target)
    for f in range(flows.num_flows):  # path order
        path = flows.links_of(f)
        assert np.array_equal(fabric.link_target[path[:-1]], fabric.link_source[path[1:]])


def test_a_broken_cable_sends_only_its_pairs_to_the_search() -> None:
    whole = three_tiers(pods=2, leaves=3, spines=2)
    cable = next(i for i in range(whole.num_links) if whole.link_name(i) == "p0leaf0 → p0sp0")
    broken = whole.without(links=[cable])
    network = NetworkTables(broken, LinkKind.SCALE_OUT, 0)
    assert network.clos is not None
    group = network.plane.group
    at = {name: group[broken.node_idx(f"{name}/nic0")] for name in ("p0h0", "p0h2", "p0h4", "p1h0", "p1h2")}

    def height(a: str, b: str) -> int:
        assert network.clos is not None
        return int(network.clos.heights(np.array([at[a]]), np.array([at[b]]))[0])

    assert height("p0h2", "p0h4") == 2  # two whole leaves of the broken pod
    assert height("p1h0", "p1h2") == 2
    assert height("p0h0", "p0h2") == GENERAL  # through the leaf with one uplink
    assert height("p0h0", "p1h0") == GENERAL
    assert height("p0h2", "p1h0") == 3
    flows = router_for(broken).route(nodes(broken, "p0h2/nic0"), nodes(broken, "p0h0/nic0"), Spray())
    assert split_of(broken, flows, 0)["p0leaf1 → p0sp1"] == 1.0


@given(st.lists(st.integers(0, 10**6), max_size=4), st.sampled_from([False, True]))
@settings(max_examples=25, deadline=None)
def test_tables_agree_with_the_search_however_broken(picks: list[int], dual: bool) -> None:
    whole = three_tiers(pods=2, leaves=2, spines=2, dual=dual)
    switch_links = np.flatnonzero(
        (whole.node_kind[whole.link_source] == NodeKind.SWITCH)
        & (whole.node_kind[whole.link_target] == NodeKind.SWITCH)
    )
    fabric = whole.without(links=[int(switch_links[p % switch_links.size]) for p in picks])
    router, searched = Router(fabric), Router(fabric)
    searched.scale_out.__dict__["clos"] = None
    for a, b in zip(*all_pairs(fabric), strict=True):
        results = []
        for r in (router, searched):
            try:
                results.append(link_shares(fabric, r.route([a], [b], Spray())))
            except InputError as error:
                results.append(str(error))
        if isinstance(results[0], str) or isinstance(results[1], str):
            assert results[0] == results[1]
        else:
            np.testing.assert_allclose(results[0], results[1], atol=1e-12)


def test_no_way_names_both_ends() -> None:
    fabric = leaf_spine()
    alone = fabric.without(nodes=nodes(fabric, "leaf1"))
    with pytest.raises(InputError, match=r"'h0/nic0' to nic 'h3/nic0'"):
        router_for(alone).route(nodes(fabric, "h0/nic0"), nodes(fabric, "h3/nic0"), Spray())
    cut = fabric.without(nodes=nodes(fabric, "sp0", "sp1"))
    with pytest.raises(InputError, match=r"'h0/nic0' to nic 'h2/nic0'"):
        router_for(cut).route(nodes(fabric, "h0/nic0"), nodes(fabric, "h2/nic0"), Ecmp())


def test_a_switch_is_no_end_of_a_flow() -> None:
    fabric = leaf_spine()
    with pytest.raises(InputError, match="'leaf0'"):
        router_for(fabric).route(nodes(fabric, "leaf0"), nodes(fabric, "h0/nic0"), Spray())


def test_nics_pass_nothing_on() -> None:
    # Two islands joined only through a host with a NIC on each: no way between the islands.
    from topologies.builder import FabricBuilder

    builder = FabricBuilder("islands")
    for name in ("west", "east"):
        builder.add_switch(name, tier=1)
        builder.add_host(f"{name}-host", accelerators=1, nics=1, host_link_bytes_per_s=10.0)
        builder.connect(f"{name}-host/nic0", name, rate_bytes_per_s=1.0)
    builder.add_host("bridge", accelerators=1, nics=2, host_link_bytes_per_s=10.0)
    builder.connect("bridge/nic0", "west", rate_bytes_per_s=1.0)
    builder.connect("bridge/nic1", "east", rate_bytes_per_s=1.0)
    fabric = builder.build()
    with pytest.raises(InputError, match="no way from"):
        router_for(fabric).route(nodes(fabric, "west-host/nic0"), nodes(fabric, "east-host/nic0"), Spray())


def test_ecmp_depends_on_seed_and_entropy_and_on_nothing_else() -> None:
    fabric = leaf_spine(leaves=2, spines=8, hosts=8)
    source, target = (
        nodes(fabric, *[f"h{i}/nic0" for i in range(8)]),
        nodes(fabric, *[f"h{i + 8}/nic0" for i in range(8)]),
    )
    route = router_for(fabric).route
    entropy = np.arange(8)
    first = route(source, target, Ecmp(1, entropy)).link
    assert np.array_equal(first, route(source, target, Ecmp(1, entropy)).link)
    assert not np.array_equal(first, route(source, target, Ecmp(2, entropy)).link)
    assert not np.array_equal(first, route(source, target, Ecmp(1, entropy + 100)).link)
    backwards = route(source[::-1], target[::-1], Ecmp(1, entropy[::-1]))
    assert np.array_equal(backwards.select(np.arange(8)[::-1]).link, first)


def test_ecmp_spreads_evenly_over_many_flows() -> None:
    fabric = leaf_spine(leaves=2, spines=4, hosts=1)
    flows = router_for(fabric).route(
        np.repeat(nodes(fabric, "h0/nic0"), 4000), np.repeat(nodes(fabric, "h1/nic0"), 4000), Ecmp()
    )
    uplinks = [i for i in range(fabric.num_links) if fabric.link_name(i).startswith("leaf0 → sp")]
    count = np.bincount(flows.link, minlength=fabric.num_links)[uplinks]
    assert np.all(np.abs(count - 1000) < 5 * np.sqrt(1000 * 0.75))  # five standard deviations of a fair choice


def test_dmodk_shifts_load_every_uplink_once() -> None:
    # 2 leaves × 4 hosts, 4 spines: host i of leaf 0 to host i of leaf 1 uses spine i mod 4
    fabric = leaf_spine(leaves=2, spines=4, hosts=4)
    for shift in range(4):
        source = nodes(fabric, *[f"h{i}/nic0" for i in range(4)])
        target = nodes(fabric, *[f"h{4 + (i + shift) % 4}/nic0" for i in range(4)])
        flows = router_for(fabric).route(source, target, DModK())
        assert np.bincount(flows.link).max() == 1


def test_same_arrays_cannot_be_written() -> None:
    fabric = leaf_spine()
    flows = router_for(fabric).route(nodes(fabric, "h0/nic0"), nodes(fabric, "h2/nic0"), Spray())
    for array in (flows.flow_start, flows.link, flows.share_frac):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def spread_out(channels: Channels, flows: FlowLinks) -> np.ndarray:
    """Links and shares of flows given in channels, ``(flows, links)``."""
    rows = []
    for f in range(flows.num_flows):
        span = slice(flows.flow_start[f], flows.flow_start[f + 1])
        load = np.bincount(flows.link[span], weights=flows.share_frac[span], minlength=channels.num_channels)
        rows.append(channels.to_links(load))
    return np.array(rows)


@pytest.mark.parametrize(
    "fabric",
    [leaf_spine(leaves=3, cables=2), three_tiers(pods=3), three_tiers(dual=True), boxes()],
    ids=["parallel cables", "three tiers", "dual-homed", "rails"],
)
def test_channels_stand_for_the_links_of_spraying(fabric: Fabric) -> None:
    router = Router(fabric)
    source, target = all_pairs(fabric)
    accelerators = np.arange(min(4, fabric.num_accelerators))
    source = np.concatenate((source, accelerators))
    target = np.concatenate((target, accelerators[::-1]))
    channels, flows = router.route_channels(source, target, Spray())
    plain = router.route(source, target, Spray())
    np.testing.assert_allclose(spread_out(channels, flows), link_shares(fabric, plain), atol=1e-12)
    assert np.diff(flows.flow_start).max() <= 2 + 2 * router.scale_out.plane.num_switches


def test_channel_capacity_is_that_of_its_tightest_link() -> None:
    whole = leaf_spine(leaves=2, spines=2, up=10.0)
    slow = next(i for i in range(whole.num_links) if whole.link_name(i) == "leaf0 → sp1")
    fabric = whole.with_capacity([slow], 3.0)
    router = Router(fabric)
    channels, flows = router.route_channels(nodes(fabric, "h0/nic0"), nodes(fabric, "h2/nic0"), Spray())
    assert flows.link.size == 4
    up = flows.link[1]
    assert channels.capacity_bytes_per_s[up] == 6.0  # half of the flow on a link of 3
    assert channels.tightest_link[up] == slow
    assert up in channels.of_link(slow)


@given(st.lists(st.integers(0, 10**6), max_size=3))
@settings(max_examples=25, deadline=None)
def test_channels_hold_however_broken(picks: list[int]) -> None:
    whole = three_tiers(pods=2, leaves=3, spines=2)
    trunk = np.flatnonzero(whole.link_tier > 1)
    fabric = whole.without(links=[int(trunk[p % trunk.size]) for p in picks])
    router = Router(fabric)
    source, target = all_pairs(fabric)
    try:
        plain = link_shares(fabric, router.route(source, target, Spray()))
    except InputError:
        return
    channels, flows = router.route_channels(source, target, Spray())
    np.testing.assert_allclose(spread_out(channels, flows), plain, atol=1e-12)
    # What a channel stands for is loaded through it alone, so that its capacity can be trusted.
    seen: set[int] = set()
    for channel in set(flows.link.tolist()):
        load = np.zeros(channels.num_channels)
        load[channel] = 1.0
        links = set(np.flatnonzero(channels.to_links(load)).tolist())
        assert links
        assert not seen & links
        seen |= links


def test_broken_cables_do_not_spell_out_the_network() -> None:
    # One leaf-spine cable of 4 pods × 4 leaves × 4 spines is gone: what was one bundle of core cables a pod falls into
    # those of the spine that lost it and the rest, and no flow is spread over single links of the 128 core cables.
    whole = three_tiers(pods=4, leaves=4, spines=4, cores_a_spine=8)
    cut = next(i for i in range(whole.num_links) if whole.link_tier[i] == 2)
    fabric = whole.without(links=[cut])
    source, target = all_pairs(fabric)
    before = Router(whole).route_channels(source, target, Spray())[1]
    after = Router(fabric).route_channels(source, target, Spray())[1]
    assert np.diff(before.flow_start).max() == 6
    assert np.diff(after.flow_start).max() <= 12
