"""Where hosts and switches stand: racks in rows, and how far a cable runs from one to another.

The model, stated with every bill: hosts stand in the racks that the fabric names, else as many to a rack as height and
power allow. Racks stand in rows in the order of pods and leaf groups. Leaf switches stand in network racks in the
middle of the row they serve; spines and cores too, where two racks hold them, else in rows of their own behind it.
Cables run in a tray above: up, along the row, across the rows, down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from topologies.bill.hosts import has_racks
from topologies.fabric import Fabric, Float64s, Int64s, LinkKind, NodeKind

__all__ = ["STANDARD_LENGTHS_M", "FloorPlan", "LayoutRules", "plan_floor"]

STANDARD_LENGTHS_M = (0.5, 1, 1.5, 2, 2.5, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500)
"""Lengths in which DACs, AOCs and fibres are sold, metres; a run is rounded up to the next. Source: the part number
tables of NVIDIA LinkX cables (DAC 0.5 to 3, AEC to 7, AOC 3 to 100 m; fibres by the metre up to 500)."""


_LEAST_ROW = 16


@dataclass(frozen=True)
class LayoutRules:
    """The rack and row model.

    Attributes
    ----------
    rack_units
        Height of a rack for hosts and switches, U.
    network_rack_units
        Height of it that switches take in a network rack; the rest is for fibre panels and cable management.
    rack_watts
        Most that the hosts of one rack may draw; 0 for no limit.
    racks_a_row
        Host racks in a row; 0: 16, or more where that makes the floor square.
    rack_pitch_m
        From rack to rack in a row. 0.6: the width of a 19-inch cabinet (EIA-310).
    row_pitch_m
        From row to row. 2.3: racks 1.2 m deep, aisles of 1.2 m before and 1.0 m behind them, shared by two rows each
        (ANSI/TIA-942-B).
    riser_m
        From a device up to the tray, or down.
    in_rack_m
        A cable within one rack.
    slack_m
        Added to every cable that leaves its rack.
    default_host_units
        Height of a host whose part is not known, U.
    """

    rack_units: int = 42
    network_rack_units: int = 32
    rack_watts: float = 0.0
    racks_a_row: int = 0
    rack_pitch_m: float = 0.6
    row_pitch_m: float = 2.3
    riser_m: float = 1.5
    in_rack_m: float = 1.5
    slack_m: float = 0.5
    default_host_units: float = 8.0

    def row_length(self, num_host_racks: int) -> int:
        """Return the host racks of a row."""
        square = round((num_host_racks * self.row_pitch_m / self.rack_pitch_m) ** 0.5)
        return self.racks_a_row or max(_LEAST_ROW, square)

    def notes(self, num_host_racks: int) -> tuple[str, ...]:
        """Return the model in words."""
        return (
            f"rows of {self.row_length(num_host_racks)} host racks, {self.rack_pitch_m:g} m from rack to rack and "
            f"{self.row_pitch_m:g} m from row to row; leaf switches in the middle of the row they serve",
            f"a cable takes {self.in_rack_m:g} m in a rack, else {self.riser_m:g} m up and down each, the way in the "
            f"tray and {self.slack_m:g} m of slack, rounded up to a length that is sold",
        )


@dataclass(frozen=True, eq=False)
class FloorPlan:
    """Racks with their places.

    Attributes
    ----------
    node_rack
        ``(N,)`` rack of each node.
    host_rack
        ``(H,)`` rack of each host.
    rack_row, rack_x_m, rack_y_m
        ``(R,)`` row number and place of each rack, host racks first.
    num_host_racks
        How many of the racks hold hosts.
    rack_names
        ``(R,)``.
    """

    node_rack: Int64s
    host_rack: Int64s
    rack_row: Int64s
    rack_x_m: Float64s
    rack_y_m: Float64s
    num_host_racks: int
    rack_names: Sequence[str]

    @property
    def num_racks(self) -> int:
        """Host racks and network racks together."""
        return len(self.rack_row)

    def run_m(self, fabric: Fabric, link: npt.NDArray[np.integer], rules: LayoutRules) -> Float64s:
        """Return the length of the cable of each link, ``(len(link),)``, as it runs and before rounding."""
        a, b = self.node_rack[fabric.link_source[link]], self.node_rack[fabric.link_target[link]]
        way = np.abs(self.rack_x_m[a] - self.rack_x_m[b]) + np.abs(self.rack_y_m[a] - self.rack_y_m[b])
        run: Float64s = np.where(a == b, rules.in_rack_m, 2 * rules.riser_m + way + rules.slack_m)
        return run


def plan_floor(
    fabric: Fabric, rules: LayoutRules, *, host_units: Float64s, host_watts: Float64s, node_units: Float64s
) -> FloorPlan:
    """Return where everything stands.

    Parameters
    ----------
    host_units, host_watts
        ``(H,)`` height and power of each host; NaN power for not known.
    node_units
        ``(N,)`` height of each switch.
    """
    host_rack, names = _host_racks(fabric, rules, host_units, host_watts)
    num_host_racks = len(names)
    first_host = np.full(num_host_racks, fabric.num_hosts)
    np.minimum.at(first_host, host_rack, np.arange(fabric.num_hosts))
    order = np.lexsort((np.arange(num_host_racks), fabric.host_leaf_group[first_host], fabric.host_pod[first_host]))
    place = np.empty(num_host_racks, np.int64)
    place[order] = np.arange(num_host_racks)
    node_place = _places(fabric, place[host_rack].astype(np.float64))
    floor = _Rows(rules, num_host_racks)
    node_rack = np.full(fabric.num_nodes, -1, np.int64)
    first_nic = fabric.num_accelerators
    node_rack[:first_nic] = host_rack[fabric.accelerator_host]
    node_rack[first_nic : first_nic + fabric.num_nics] = host_rack[fabric.nic_host]
    scale_up = np.flatnonzero(fabric.node_kind == NodeKind.SCALE_UP_SWITCH)
    node_rack[scale_up] = order[np.clip(node_place[scale_up].astype(np.int64), 0, num_host_racks - 1)]
    for tiers in ((1,), tuple(range(2, int(fabric.node_tier.max(initial=0)) + 1))):
        switches = np.flatnonzero((fabric.node_kind == NodeKind.SWITCH) & np.isin(fabric.node_tier, tiers))
        if len(switches):
            node_rack[switches] = floor.add_switches(
                node_place[switches], node_units[switches], num_host_racks, is_leaf=tiers == (1,)
            )
    row, x, y, network_names = floor.placed(place)
    return FloorPlan(node_rack, host_rack, row, x, y, num_host_racks, [*names, *network_names])


def _host_racks(
    fabric: Fabric, rules: LayoutRules, host_units: Float64s, host_watts: Float64s
) -> tuple[Int64s, list[str]]:
    """Return the rack of each host, and the racks' names."""
    given = fabric.host_rack.astype(np.int64)
    if has_racks(fabric):
        used, rack = np.unique(given, return_inverse=True)
        return rack, [fabric.rack_names[int(r)] for r in used]
    watts = np.nan_to_num(host_watts)
    rack = np.empty(fabric.num_hosts, np.int64)
    used_units, used_watts, current = 0.0, 0.0, 0
    order = np.lexsort((np.arange(fabric.num_hosts), fabric.host_leaf_group, fabric.host_pod))
    for host in order.tolist():
        units, draw = float(host_units[host]), float(watts[host])
        too_high = used_units + units > rules.rack_units
        too_hot = rules.rack_watts > 0 and used_watts + draw > rules.rack_watts
        if used_units and (too_high or too_hot):
            current, used_units, used_watts = current + 1, 0.0, 0.0
        rack[host] = current
        used_units, used_watts = used_units + units, used_watts + draw
    return rack, [f"rack{i + 1:04d}" for i in range(current + 1)]


def _places(fabric: Fabric, host_place: Float64s) -> Float64s:
    """Return for each node the middle of the places of the hosts below it, ``(N,)``."""
    place = np.zeros(fabric.num_nodes)
    num_ends = fabric.num_accelerators + fabric.num_nics
    place[: fabric.num_accelerators] = host_place[fabric.accelerator_host]
    place[fabric.num_accelerators : num_ends] = host_place[fabric.nic_host]
    tier = fabric.node_tier.astype(np.int64)
    source, target = fabric.link_source, fabric.link_target
    known = np.arange(fabric.num_nodes) < num_ends
    for level in range(0, int(tier.max(initial=0)) + 1):
        switches = (tier == level) & ~known
        below = known[source] & switches[target] & (fabric.link_kind != LinkKind.HOST)
        total = np.bincount(target[below], weights=place[source[below]], minlength=fabric.num_nodes)
        count = np.bincount(target[below], minlength=fabric.num_nodes)
        found = switches & (count > 0)
        place[found] = total[found] / count[found]
        place[switches & (count == 0)] = host_place.mean()
        known |= switches
    return place


class _Rows:
    """Rows of host racks, with the network racks put among them."""

    def __init__(self, rules: LayoutRules, num_host_racks: int) -> None:
        self.rules = rules
        self.num_host_racks = num_host_racks
        self.row_length = rules.row_length(num_host_racks)
        self.num_rows = max(-(-num_host_racks // self.row_length), 1)
        self.in_row: dict[int, list[int]] = {}
        self.behind: dict[int, list[int]] = {}
        self.used: dict[int, float] = {}
        self.count = 0

    def add_switches(self, place: Float64s, units: Float64s, first_rack: int, *, is_leaf: bool) -> Int64s:
        """Put switches into network racks near their place; return their racks."""
        rack = np.empty(len(place), np.int64)
        row_of = np.clip((place // self.row_length).astype(np.int64), 0, self.num_rows - 1)
        for row in np.unique(row_of).tolist():
            members = np.flatnonzero(row_of == row)
            members = members[np.argsort(place[members], kind="stable")]
            needed = units[members].sum() / self.rules.network_rack_units
            racks = self.in_row if is_leaf or needed <= 2 else self.behind
            for switch in members.tolist():
                rack[switch] = first_rack + self._fit(racks.setdefault(row, []), float(units[switch]))
        return rack

    def _fit(self, racks: list[int], units: float) -> int:
        if not racks or self.used[racks[-1]] + units > self.rules.network_rack_units:
            racks.append(self.count)
            self.used[self.count] = 0.0
            self.count += 1
        self.used[racks[-1]] += units
        return racks[-1]

    def placed(self, place: Int64s) -> tuple[Int64s, Float64s, Float64s, list[str]]:
        """Return row, x and y of every rack, and the names of the network racks; `place` orders the host racks."""
        rules = self.rules
        total = self.num_host_racks + self.count
        row_number, x, y = np.zeros(total, np.int64), np.zeros(total), np.zeros(total)
        host_rack_at = np.empty(self.num_host_racks, np.int64)
        host_rack_at[place] = np.arange(self.num_host_racks)
        line = 0
        for row in range(self.num_rows):
            hosts = host_rack_at[row * self.row_length : (row + 1) * self.row_length].tolist()
            network = [self.num_host_racks + r for r in self.in_row.get(row, [])]
            middle = len(hosts) // 2
            rows = [hosts[:middle] + network + hosts[middle:]]
            behind = [self.num_host_racks + r for r in self.behind.get(row, [])]
            rows += [behind[i : i + self.row_length] for i in range(0, len(behind), self.row_length)]
            for racks in rows:
                for i, rack in enumerate(racks):
                    row_number[rack] = line
                    x[rack] = (i - (len(racks) - 1) / 2) * rules.rack_pitch_m
                    y[rack] = line * rules.row_pitch_m
                line += 1
        return row_number, x, y, [f"network{i + 1:03d}" for i in range(self.count)]
