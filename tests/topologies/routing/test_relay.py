"""Relays over scale-up domains: rails that nothing joins, hosts that lost a NIC."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.topologies.fabrics import fabric_from
from tests.topologies.routing.test_router import assert_conserved, split_of
from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.routing.ecmp import Ecmp
from topologies.routing.router import router_for
from topologies.routing.spray import Spray


def rails(*, hosts: int = 2, rails: int = 2, cabled: list[list[bool]] | None = None) -> Fabric:
    """One leaf a rail and nothing above; `cabled[h][r]`: whether NIC r of host h hangs on its rail.

     rail0     rail1
     │   ╲    ╱   │
    nic0  nic0   …
    gpu0 gpu1   gpu0 gpu1
     └nv0┘       └nv1┘
    """
    builder = FabricBuilder("rails")
    leaf = builder.add_switches([f"rail{r}" for r in range(rails)])
    block = builder.add_hosts(
        [f"h{h}" for h in range(hosts)], accelerators=rails, nics=rails, host_link_bytes_per_s=50.0
    )
    inside = builder.add_switches([f"nv{h}" for h in range(hosts)], scale_up=True)
    builder.add_cables(block.accelerator, inside[:, None], rate_bytes_per_s=90.0)
    builder.add_cables(block.nic, np.broadcast_to(leaf, (hosts, rails)), rate_bytes_per_s=10.0)
    fabric = builder.build()
    if cabled is None:
        return fabric
    nics = fabric.num_accelerators + np.arange(hosts * rails)
    loose = nics[~np.array(cabled).ravel()]
    return fabric.without(links=np.flatnonzero(np.isin(fabric.link_source, loose) & (fabric.link_tier == 1)).tolist())


def way(fabric: Fabric, source: str, target: str) -> list[str]:
    flows = router_for(fabric).route([fabric.node_idx(source)], [fabric.node_idx(target)], Spray())
    assert set(split_of(fabric, flows, 0).values()) == {1.0}
    return list(split_of(fabric, flows, 0))


def test_another_rail_is_reached_over_the_senders_domain() -> None:
    assert way(rails(), "h0/gpu0", "h1/gpu1") == [
        "h0/gpu0 → nv0",
        "nv0 → h0/gpu1",
        "h0/gpu1 → h0/nic1",
        "h0/nic1 → rail1",
        "rail1 → h1/nic1",
        "h1/nic1 → h1/gpu1",
    ]


def test_on_its_own_rail_nothing_is_relayed() -> None:
    assert way(rails(), "h0/gpu1", "h1/gpu1") == [
        "h0/gpu1 → h0/nic1",
        "h0/nic1 → rail1",
        "rail1 → h1/nic1",
        "h1/nic1 → h1/gpu1",
    ]


def test_the_receivers_domain_relays_where_the_senders_cannot() -> None:
    fabric = rails(cabled=[[True, False], [True, True]])  # host 0 is on rail 0 alone
    assert way(fabric, "h0/gpu0", "h1/gpu1")[-3:] == ["h1/nic0 → h1/gpu0", "h1/gpu0 → nv1", "nv1 → h1/gpu1"]
    # gpu1 of host 0 has no way out of its own: it goes by gpu0's
    assert way(fabric, "h0/gpu1", "h1/gpu0")[:3] == ["h0/gpu1 → nv0", "nv0 → h0/gpu0", "h0/gpu0 → h0/nic0"]


def test_both_domains_relay_where_only_a_third_rail_joins_them() -> None:
    fabric = rails(rails=3, cabled=[[True, False, True], [False, True, True]])
    assert way(fabric, "h0/gpu0", "h1/gpu1") == [
        "h0/gpu0 → nv0",
        "nv0 → h0/gpu2",
        "h0/gpu2 → h0/nic2",
        "h0/nic2 → rail2",
        "rail2 → h1/nic2",
        "h1/nic2 → h1/gpu2",
        "h1/gpu2 → nv1",
        "nv1 → h1/gpu1",
    ]


def test_no_common_rail_is_no_way() -> None:
    fabric = rails(cabled=[[True, False], [False, True]])
    with pytest.raises(InputError, match="no way from"):
        way(fabric, "h0/gpu0", "h1/gpu1")


def test_nics_pass_nothing_on() -> None:
    fabric = rails()
    with pytest.raises(InputError, match="no way from nic 'h0/nic0' to nic 'h1/nic1'"):
        way(fabric, "h0/nic0", "h1/nic1")


def test_relays_of_a_domain_of_many_hosts_are_spread() -> None:
    fabric = fabric_from(
        "schema_version: 1\nkind: nvl-rack\nname: by-rail\n"
        "racks: {count: 2, trays: 6, part: gb200-tray, scale_up: {switches: 2}}\n"
        "network: {tiers: 2, leaf: qm9700, planes: by-rail}\n"
    )
    source = np.flatnonzero((fabric.accelerator_domain == 0) & (fabric.accelerator_rail == 0))
    target = np.flatnonzero((fabric.accelerator_domain == 1) & (fabric.accelerator_rail == 3))
    flows = router_for(fabric).route(source, target, Ecmp(seed=1))
    nics = fabric.link_source[flows.link]
    nics = nics[(nics >= fabric.num_accelerators) & (nics < fabric.num_accelerators + fabric.num_nics)]
    leaving = nics[fabric.nic_host[nics - fabric.num_accelerators] < 6]
    # six senders leave by the NICs of rail 3 of their own six trays
    assert sorted(fabric.nic_host[leaving - fabric.num_accelerators].tolist()) == list(range(6))
    assert set(fabric.nic_rail[leaving - fabric.num_accelerators].tolist()) == {3}


@given(
    st.integers(2, 3),
    st.integers(2, 4),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_what_leaves_arrives_or_there_is_no_common_rail(hosts: int, num_rails: int, data: st.DataObject) -> None:
    cabled = [[data.draw(st.booleans()) for _ in range(num_rails)] for _ in range(hosts)]
    fabric = rails(hosts=hosts, rails=num_rails, cabled=cabled)
    source, target = (end.ravel() for end in np.meshgrid(*[np.arange(fabric.num_accelerators)] * 2))
    host = fabric.accelerator_host
    meets = np.array(
        [
            a == b or any(x and y for x, y in zip(cabled[a], cabled[b], strict=True))
            for a, b in host_pairs(host, source, target)
        ]
    )
    flows = router_for(fabric).route(source[meets], target[meets], Spray())
    assert_conserved(fabric, flows, source[meets], target[meets])
    for s, t in zip(source[~meets].tolist(), target[~meets].tolist(), strict=True):
        with pytest.raises(InputError, match="no way"):
            router_for(fabric).route([s], [t], Spray())


def host_pairs(host: np.ndarray, source: np.ndarray, target: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(host[source].tolist(), host[target].tolist(), strict=True))
