"""Static routes: followed to the letter, and refused where they lead nowhere."""

from __future__ import annotations

import pytest

from tests.fixtures.clos_fabrics import leaf_spine
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.routing.named import ROUTING_NAMES, routing_named
from topologies.routing.router import router_for
from topologies.routing.static import NextHops, Static

ROUTES = {
    "leaf0": {"h2/nic0": "sp1", "h1/nic0": "h1/nic0"},
    "sp1": {"h2/nic0": "leaf1"},
    "leaf1": {"h2/nic0": "h2/nic0"},
}


def route(fabric: Fabric, routes: dict[str, dict[str, str]], source: str, target: str) -> list[str]:
    flows = router_for(fabric).route(
        [fabric.node_idx(source)], [fabric.node_idx(target)], Static(NextHops.of_names(fabric, routes))
    )
    return [fabric.link_name(int(link)) for link in flows.link]


def test_flows_follow_the_tables() -> None:
    fabric = leaf_spine()
    assert route(fabric, ROUTES, "h0/nic0", "h2/nic0") == [
        "h0/nic0 → leaf0",
        "leaf0 → sp1",
        "sp1 → leaf1",
        "leaf1 → h2/nic0",
    ]
    assert route(fabric, ROUTES, "h0/nic0", "h1/nic0") == ["h0/nic0 → leaf0", "leaf0 → h1/nic0"]


def test_a_hole_names_the_ends_and_the_switch() -> None:
    with pytest.raises(InputError, match=r"from 'h0/nic0' to 'h2/nic0'.*'sp1' has no route"):
        route(leaf_spine(), ROUTES | {"sp1": {}}, "h0/nic0", "h2/nic0")
    with pytest.raises(InputError, match=r"from 'h0/nic0' to 'h3/nic0'.*'leaf0' has no route"):
        route(leaf_spine(), ROUTES, "h0/nic0", "h3/nic0")


def test_a_circle_is_found() -> None:
    with pytest.raises(InputError, match="circle"):
        route(leaf_spine(), ROUTES | {"sp1": {"h2/nic0": "leaf0"}}, "h0/nic0", "h2/nic0")


def test_routes_that_do_not_fit_the_fabric_are_refused() -> None:
    with pytest.raises(InputError, match="no link of the switch"):
        NextHops.of_names(leaf_spine(), {"leaf0": {"h2/nic0": "h2/nic0"}})
    with pytest.raises(InputError, match="no such node"):
        NextHops.of_names(leaf_spine(), {"leaf9": {"h2/nic0": "sp0"}})


def test_every_name_makes_its_routing() -> None:
    routes = NextHops.of_names(leaf_spine(), ROUTES)
    assert [routing_named(name, routes=routes).name for name in ROUTING_NAMES] == list(ROUTING_NAMES)
    with pytest.raises(InputError, match="static routing needs the tables"):
        routing_named("static")
    with pytest.raises(InputError, match="no such routing"):
        routing_named("hot-potato")
