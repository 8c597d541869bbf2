"""What one fault takes down: accelerators that lose their network, hosts cut off, and capacity of a tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from topologies.bill.layout import FloorPlan
from topologies.fabric import Fabric, Int64s, LinkKind, NodeKind

__all__ = ["FailureDomain", "failure_domains"]

_TIER_WORDS = {1: "leaf switch", 2: "spine switch", 3: "core switch"}
_CABLE_WORDS = {1: "NIC cable", 2: "leaf–spine cable", 3: "spine–core cable"}


@dataclass(frozen=True)
class FailureDomain:
    """The worst that one component of a class takes down.

    Attributes
    ----------
    component
        Class of component.
    count
        How many there are.
    example
        The worst one.
    accelerators_cut_off
        Accelerators whose NIC no longer reaches the rest of the network over scale-out links.
    hosts_cut_off
        Hosts all of whose NICs are cut off, or that go down themselves.
    capacity_lost_frac
        Share of the capacity of the tier that it belongs to: of its own links, or of the links on it; for racks and
        rows of the links between NICs and leaves.
    """

    component: str
    count: int
    example: str
    accelerators_cut_off: int
    hosts_cut_off: int
    capacity_lost_frac: float


def failure_domains(fabric: Fabric, floor: FloorPlan) -> list[FailureDomain]:
    """Return one row for each class of component: NIC, cables and switches by tier, rack, power feed of a row."""
    rows: list[FailureDomain] = []
    net = _Network(fabric)
    if fabric.num_nics:
        rows.append(net.worst_nic())
        for tier in np.unique(fabric.link_tier[net.scale_out]).tolist():
            rows.append(net.worst_cable(int(tier)))
    for tier in np.unique(fabric.node_tier[fabric.node_kind == NodeKind.SWITCH]).tolist():
        rows.append(net.worst_switch(int(tier)))
    scale_up = _scale_up_switches(fabric)
    if len(scale_up):
        rows.append(net.worst_scale_up_switch(scale_up))
    if not fabric.num_nics and np.any(fabric.link_kind == LinkKind.SCALE_UP):
        rows.append(net.worst_scale_up_cable())
    rows.append(net.worst_place("rack", floor.node_rack, floor.rack_names))
    row_of_node = floor.rack_row[floor.node_rack]
    names = [f"row {i + 1}" for i in range(int(floor.rack_row.max()) + 1)]
    rows.append(net.worst_place("power feed of a row, if not redundant", row_of_node, names))
    return rows


def _scale_up_switches(fabric: Fabric) -> Int64s:
    """Return the scale-up switches, without the routers that are part of one accelerator each."""
    is_switch = fabric.node_kind == NodeKind.SCALE_UP_SWITCH
    into = (fabric.link_kind == LinkKind.SCALE_UP) & (fabric.link_source < fabric.num_accelerators)
    hanging = np.bincount(fabric.link_target[into], minlength=fabric.num_nodes)
    return np.flatnonzero(is_switch & (hanging != 1))


class _Network:
    """The scale-out links of a fabric, and what stays connected without some nodes."""

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.scale_out = np.flatnonzero(fabric.link_kind == LinkKind.SCALE_OUT)
        self.capacity = fabric.link_capacity_bytes_per_s

    def _cut_off(self, gone_node: npt.NDArray[np.bool_], gone_link: Int64s | None = None) -> tuple[int, int]:
        """Return accelerators and hosts cut off without some nodes and links."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        fabric = self.fabric
        first, num = fabric.num_accelerators, fabric.num_nics
        if not num:
            lost = gone_node[:first]
            return int(lost.sum()), self._hosts(lost)
        link = self.scale_out
        if gone_link is not None:
            link = link[~np.isin(link >> 1, gone_link >> 1)]
        source, target = fabric.link_source[link], fabric.link_target[link]
        keep = ~(gone_node[source] | gone_node[target])
        graph = coo_array(
            (np.ones(int(keep.sum()), np.int8), (source[keep], target[keep])),
            shape=(fabric.num_nodes, fabric.num_nodes),
        ).tocsr()
        component = connected_components(graph, directed=False)[1]
        nic = np.arange(first, first + num)
        good = self._largest_of_each_plane(component[nic], self._planes[nic], ~gone_node[nic])
        reach = np.zeros(fabric.num_nodes, bool)
        reach[nic] = good
        has_nic = fabric.accelerator_nic >= 0
        lost = np.zeros(first, bool)
        lost[has_nic] = ~reach[fabric.accelerator_nic[has_nic]]
        lost |= gone_node[:first]
        host_reach = np.zeros(fabric.num_hosts, bool)
        host_reach[fabric.nic_host[good]] = True
        has_nics = np.bincount(fabric.nic_host, minlength=fabric.num_hosts) > 0
        down = has_nics & ~host_reach
        down |= np.bincount(fabric.accelerator_host, weights=gone_node[:first], minlength=fabric.num_hosts) > 0
        return int(lost.sum()), int(down.sum())

    @cached_property
    def _planes(self) -> Int64s:
        """Connected piece of the whole scale-out network that each node is in, ``(N,)``."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        source = self.fabric.link_source[self.scale_out]
        target = self.fabric.link_target[self.scale_out]
        shape = (self.fabric.num_nodes, self.fabric.num_nodes)
        graph = coo_array((np.ones(len(source), np.int8), (source, target)), shape=shape).tocsr()
        return np.asarray(connected_components(graph, directed=False)[1], np.int64)

    @staticmethod
    def _largest_of_each_plane(
        component: npt.NDArray[np.integer], plane: npt.NDArray[np.integer], alive: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Tell which NICs are in the largest piece of their plane (rails without spines are planes of their own)."""
        size = np.bincount(component[alive], minlength=int(component.max(initial=0)) + 1)
        plane_of = np.zeros(len(size), np.int64)
        plane_of[component[alive]] = plane[alive]
        pieces = np.flatnonzero(size)
        pieces = pieces[np.lexsort((pieces, -size[pieces], plane_of[pieces]))]
        first = np.flatnonzero(np.diff(plane_of[pieces], prepend=-1))
        chosen = np.full(int(plane.max(initial=0)) + 1, -1, np.int64)
        chosen[plane_of[pieces[first]]] = pieces[first]
        good: npt.NDArray[np.bool_] = alive & (component == chosen[plane])
        return good

    def _hosts(self, lost: npt.NDArray[np.bool_]) -> int:
        return len(np.unique(self.fabric.accelerator_host[lost]))

    def _gone(self, node: int) -> npt.NDArray[np.bool_]:
        gone = np.zeros(self.fabric.num_nodes, bool)
        gone[node] = True
        return gone

    def worst_nic(self) -> FailureDomain:
        """Return the NIC that most accelerators hang on."""
        fabric = self.fabric
        first = fabric.num_accelerators
        served = np.bincount(fabric.accelerator_nic[fabric.accelerator_nic >= 0], minlength=first + fabric.num_nics)
        worst = int(np.argmax(served[first:])) + first
        out = self.scale_out[fabric.link_source[self.scale_out] == worst]
        total = self._tier_capacity(1)
        cut, hosts = self._cut_off(self._gone(worst))
        lost = float(self.capacity[out].sum()) / total if total else 0.0
        return FailureDomain("NIC", fabric.num_nics, fabric.node_names[worst], cut, hosts, lost)

    def _tier_capacity(self, tier: int) -> float:
        """Capacity of the cables of a tier, one direction."""
        return float(self.capacity[self.scale_out][self.fabric.link_tier[self.scale_out] == tier].sum()) / 2

    def _access_share(self, gone: npt.NDArray[np.bool_]) -> float:
        """Return the share of the capacity between NICs and leaves that some nodes have an end of."""
        fabric = self.fabric
        if not fabric.num_nics:
            return float(np.count_nonzero(gone[: fabric.num_accelerators])) / fabric.num_accelerators
        access = self.scale_out[fabric.link_source[self.scale_out] < fabric.num_accelerators + fabric.num_nics]
        lost = gone[fabric.link_source[access]] | gone[fabric.link_target[access]]
        return float(self.capacity[access][lost].sum() / self.capacity[access].sum())

    def worst_cable(self, tier: int) -> FailureDomain:
        """Return the fastest cable of a tier."""
        fabric = self.fabric
        links = self.scale_out[fabric.link_tier[self.scale_out] == tier]
        worst = int(links[np.argmax(self.capacity[links])])
        cut, hosts = self._cut_off(np.zeros(fabric.num_nodes, bool), np.array([worst], np.int64))
        word = _CABLE_WORDS.get(tier, f"cable of tier {tier}")
        lost = float(self.capacity[worst]) / self._tier_capacity(tier)
        return FailureDomain(word, len(links) // 2, fabric.link_name(worst), cut, hosts, lost)

    def worst_switch(self, tier: int) -> FailureDomain:
        """Return the switch of a tier with the most capacity below it."""
        fabric = self.fabric
        members = np.flatnonzero((fabric.node_kind == NodeKind.SWITCH) & (fabric.node_tier == tier))
        at_tier = self.scale_out[fabric.link_tier[self.scale_out] == tier]
        load = np.bincount(fabric.link_target[at_tier], weights=self.capacity[at_tier], minlength=fabric.num_nodes)
        worst = int(members[np.argmax(load[members])])
        cut, hosts = self._cut_off(self._gone(worst))
        total = float(load[members].sum())
        lost = float(load[worst]) / total if total else 0.0
        word = _TIER_WORDS.get(tier, f"switch of tier {tier}")
        return FailureDomain(word, len(members), fabric.node_names[worst], cut, hosts, lost)

    def worst_scale_up_switch(self, switches: npt.NDArray[np.integer]) -> FailureDomain:
        """Return the scale-up switch with the most capacity: what its domain loses.

        Of a switch that no accelerator hangs on, the share of all such switches.
        """
        fabric = self.fabric
        into = np.isin(fabric.link_target, switches)
        load = np.bincount(fabric.link_target[into], weights=self.capacity[into], minlength=fabric.num_nodes)
        worst = int(switches[np.argmax(load[switches])])
        members = fabric.link_source[into & (fabric.link_target == worst)]
        members = members[members < fabric.num_accelerators]
        if len(members):
            of_domain = np.flatnonzero(fabric.accelerator_domain == fabric.accelerator_domain[members[0]])
            from_below = into & (fabric.link_target == worst) & (fabric.link_source < fabric.num_accelerators)
            total = float(fabric.accelerator_scale_up_bytes_per_s[of_domain].sum())
            lost = float(self.capacity[from_below].sum()) / total
        else:
            lost = float(load[worst] / load[switches].sum())
        return FailureDomain("scale-up switch (of its domain)", len(switches), fabric.node_names[worst], 0, 0, lost)

    def worst_scale_up_cable(self) -> FailureDomain:
        """Return the fastest link between accelerators, or between routers on them."""
        fabric = self.fabric
        links = np.flatnonzero(
            (fabric.link_kind == LinkKind.SCALE_UP) & (fabric.link_source >= fabric.num_accelerators)
        )
        links = links[fabric.link_target[links] >= fabric.num_accelerators]
        if not len(links):
            links = np.flatnonzero(fabric.link_kind == LinkKind.SCALE_UP)
        worst = int(links[np.argmax(self.capacity[links])])
        lost = float(self.capacity[worst] / self.capacity[links].sum() * 2)
        return FailureDomain("scale-up cable", len(links) // 2, fabric.link_name(worst), 0, 0, lost)

    def worst_place(self, word: str, place_of_node: Int64s, names: Sequence[str]) -> FailureDomain:
        """Return the rack (or row) that takes down most accelerators."""
        fabric = self.fabric
        num = int(place_of_node.max()) + 1
        held = np.bincount(place_of_node[: fabric.num_accelerators], minlength=num)
        is_switch = (fabric.node_kind == NodeKind.SWITCH) & (fabric.node_tier == 1)
        switches = np.bincount(place_of_node[is_switch], minlength=num)
        candidates = {int(np.argmax(held)), int(np.argmax(switches))}
        found = []
        for place in sorted(candidates):
            cut, hosts = self._cut_off(place_of_node == place)
            share = self._access_share(place_of_node == place)
            found.append(FailureDomain(word, num, names[place], cut, hosts, share))
        return max(found, key=lambda row: row.accelerators_cut_off)
