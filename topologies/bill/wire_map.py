"""The wire map: every cable with both its ends and ports, in the columns that NetBox imports cables from.

A port of a switch is its number, counted from 1: cables down first, then those to its own tier, then those up; where
slower cables share a port it is ``number/part``, and a cable that takes several ports is named by the first. A host's
end is the name of its NIC within the host, with ``/p1``, ``/p2``… where a NIC has several cables.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

import numpy as np

from topologies.bill.bill import Bill
from topologies.bill.cables import choose_cable, medium_of
from topologies.bill.switches import switches_inside_hosts
from topologies.fabric import Fabric, Float64s, Int64s
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import to_gbps

__all__ = ["WIRE_MAP_COLUMNS", "wire_map", "wire_map_csv"]

WIRE_MAP_COLUMNS = (
    "side_a_device",
    "side_a_type",
    "side_a_name",
    "side_b_device",
    "side_b_type",
    "side_b_name",
    "type",
    "status",
    "label",
    "length",
    "length_unit",
    "description",
)
"""Columns of NetBox's cable import (since 3.4): device, kind of termination and port of both sides, and the cable."""

_INTERFACE = "dcim.interface"
_COPPER = {"DAC": "dac-passive", "ACC": "dac-active", "AEC": "dac-active", "AOC": "aoc"}
_FIBRES = ("smf", "mmf")


def wire_map(bill: Bill, *, parts: Mapping[str, Part] | None = None) -> Iterator[tuple[str, ...]]:
    """Yield a row for each cable of a bill, columns as `WIRE_MAP_COLUMNS`, the lower end as side a.

    Cables of a rack's backplane are part of the rack and stand in no wire map.

    Parameters
    ----------
    bill
        Of any fabric.
    parts
        Those that the bill was made with; the catalogue's own if left out.
    """
    parts = load_parts() if parts is None else parts
    fabric, runs = bill.fabric, bill.runs
    kept = np.flatnonzero(~runs.is_backplane)
    link = runs.link[kept]
    a, b = fabric.link_source[link].astype(np.int64), fabric.link_target[link].astype(np.int64)
    is_down = fabric.node_tier[a] > fabric.node_tier[b]
    a, b = np.where(is_down, b, a), np.where(is_down, a, b)
    rate = fabric.link_capacity_bytes_per_s[link]
    ends = _Ends(fabric, a, b, rate)
    kinds: dict[tuple[float, float], tuple[str, str]] = {}
    digits = len(str(len(link)))
    rows = zip(a.tolist(), b.tolist(), rate.tolist(), runs.length_m[kept].tolist(), strict=True)
    for i, (node_a, node_b, cable_rate, length_m) in enumerate(rows):
        kind = kinds.get((cable_rate, length_m))
        if kind is None:
            kind = kinds[cable_rate, length_m] = _kind(cable_rate, length_m, parts)
        joins = runs.joins[int(runs.join_of[kept[i]])]
        yield (
            ends.device(node_a),
            _INTERFACE,
            ends.port(node_a, i, 0),
            ends.device(node_b),
            _INTERFACE,
            ends.port(node_b, i, 1),
            kind[0],
            "planned",
            f"C{i + 1:0{digits}d}",
            f"{length_m:g}",
            "m",
            f"{joins}, {kind[1]}",
        )


def wire_map_csv(bill: Bill, *, parts: Mapping[str, Part] | None = None) -> str:
    """Return the wire map as CSV with a header."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(WIRE_MAP_COLUMNS)
    writer.writerows(wire_map(bill, parts=parts))
    return stream.getvalue()


def _kind(rate_bytes_per_s: float, length_m: float, parts: Mapping[str, Part]) -> tuple[str, str]:
    """Return NetBox's cable type, and rate and part for people."""
    part = choose_cable(rate_bytes_per_s, length_m, parts)
    gbps = f"{to_gbps(rate_bytes_per_s):g} Gb/s"
    if part is None:
        return "", gbps
    fibre = next((word for word in _FIBRES if part.id.startswith(word)), "")
    return _COPPER.get(medium_of(part), fibre), f"{gbps}, {part.id}"


class _Ends:
    """Device and port of the ends of cables ``(a[i], b[i])``."""

    def __init__(self, fabric: Fabric, a: Int64s, b: Int64s, rate_bytes_per_s: Float64s) -> None:
        self.fabric = fabric
        self.inside = switches_inside_hosts(fabric)
        self.first_switch = fabric.num_accelerators + fabric.num_nics
        tier = fabric.node_tier.astype(np.int64)
        node = np.stack([a, b], axis=1).ravel()
        side = np.sign(tier[np.stack([b, a], axis=1).ravel()] - tier[node])
        rate = np.repeat(rate_bytes_per_s, 2)
        order = np.lexsort((np.arange(len(node)), rate, side, node))
        self.count = np.bincount(node, minlength=fabric.num_nodes)
        port, sub, shared = np.zeros(len(node), np.int64), np.zeros(len(node), np.int64), np.ones(len(node), np.int64)
        by_part = np.array([part.number("port_bytes_per_s", np.nan) for part in fabric.parts] + [np.nan])
        port_rate = by_part[fabric.node_part[node]]
        is_known = np.isfinite(port_rate)
        a_port = np.where(is_known, np.floor(port_rate / rate + 1e-9), 1).astype(np.int64)
        a_cable = np.where(is_known, np.ceil(rate / port_rate - 1e-9), 1).astype(np.int64)
        is_plain = bool((a_port <= 1).all() and (a_cable <= 1).all())
        if is_plain:
            start = np.zeros(fabric.num_nodes + 1, np.int64)
            np.cumsum(self.count, out=start[1:])
            port[order] = np.arange(len(node)) - start[node[order]] + 1
        else:
            _number_shared(order, node, rate, a_port, a_cable, port, sub)
            shared = a_port
        self.number = port.reshape(-1, 2)
        self.sub = np.where(shared > 1, sub, 0).reshape(-1, 2)

    def device(self, node: int) -> str:
        """Return the host of an accelerator, a NIC or a router on an accelerator; or the switch."""
        fabric = self.fabric
        if self.inside[node] >= 0:
            return fabric.host_names[int(self.inside[node])]
        if node < fabric.num_accelerators:
            return fabric.host_names[int(fabric.accelerator_host[node])]
        if node < self.first_switch:
            return fabric.host_names[int(fabric.nic_host[node - fabric.num_accelerators])]
        return fabric.node_names[node]

    def port(self, node: int, cable: int, side: int) -> str:
        """Return the port at one side of a cable."""
        number, sub = int(self.number[cable, side]), int(self.sub[cable, side])
        if node < self.first_switch or self.inside[node] >= 0:
            name = self.fabric.node_names[node].removeprefix(self.device(node) + "/")
            return f"{name}/p{number}" if self.count[node] > 1 else name
        return f"{number}/{sub}" if sub else str(number)


def _number_shared(
    order: Int64s,
    node: Int64s,
    rate: Float64s,
    a_port: Int64s,
    a_cable: Int64s,
    port: Int64s,
    sub: Int64s,
) -> None:
    """Give each cable end its port, where cables share ports (those of one node and rate do) or take several.

    Runs of cables of one node and rate follow each other, the parts of a port are filled before the next is begun.
    """
    last_node, next_port = -1, 1
    open_port: dict[float, tuple[int, int]] = {}
    for i in order.tolist():
        if node[i] != last_node:
            last_node, next_port, open_port = int(node[i]), 1, {}
        if a_port[i] <= 1:
            port[i] = next_port
            next_port += int(a_cable[i])
            continue
        number, used = open_port.get(float(rate[i]), (0, int(a_port[i])))
        if used == a_port[i]:
            number, used = next_port, 0
            next_port += 1
        port[i], sub[i] = number, used + 1
        open_port[float(rate[i])] = (number, used + 1)
