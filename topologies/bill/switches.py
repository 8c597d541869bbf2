"""Switches by tier and model, with their ports used and free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topologies.bill.money import Price, price_of
from topologies.fabric import Fabric, Float64s, Int64s, LinkKind, NodeKind
from topologies.parts import Part

__all__ = ["SwitchLine", "switch_lines", "switch_units", "switch_watts", "switches_inside_hosts"]

_SCALE_UP = 1000  # sorts after every tier
_TIER_NAMES = {1: "leaf", 2: "spine", 3: "core", _SCALE_UP: "scale-up"}
_DEFAULT_UNITS = 1.0


@dataclass(frozen=True)
class SwitchLine:
    """Alike switches.

    Attributes
    ----------
    tier
        ``leaf``, ``spine``, ``core``, ``scale-up``…
    model
        Part id; empty if not known.
    count
        How many.
    ports
        Of one; 0 if not known.
    ports_used, ports_free
        Of all together; a port split among slower cables counts once. Free ones are 0 if the ports are not known.
    ports_used_most
        By one of them.
    typical_watts, most_watts
        Of all, without the optics in their ports, and with them; NaN if not known.
    price
        Of all; None if not known.
    """

    tier: str
    model: str
    count: int
    ports: int
    ports_used: int
    ports_free: int
    ports_used_most: int
    typical_watts: float
    most_watts: float
    price: Price | None


def switch_watts(part: Part | None) -> tuple[float, float]:
    """Return what a switch usually draws, and at most; NaN if not known."""
    if part is None:
        return np.nan, np.nan
    most = part.number("watts", part.number("typical_watts", np.nan))
    return part.number("typical_watts", most), most


def switch_units(fabric: Fabric) -> Float64s:
    """Return the height of each node, ``(N,)``: that of its part, 1 U for a switch without, 0 for what is in a host."""
    by_part = np.array([part.number("rack_units", _DEFAULT_UNITS) for part in fabric.parts] + [_DEFAULT_UNITS])
    units: Float64s = np.where(fabric.node_kind == NodeKind.SWITCH, by_part[fabric.node_part], 0.0)
    return units


def switches_inside_hosts(fabric: Fabric) -> Int64s:
    """Return the host that a scale-up switch is inside of, ``(N,)``; −1 for others.

    A switch is inside a host if accelerators hang on it and all of them are that host's.
    """
    first = fabric.num_accelerators
    into = (fabric.link_kind == LinkKind.SCALE_UP) & (fabric.link_source < first)
    into &= fabric.node_kind[fabric.link_target] == NodeKind.SCALE_UP_SWITCH
    host, target = fabric.accelerator_host[fabric.link_source[into]], fabric.link_target[into]
    low = np.full(fabric.num_nodes, np.iinfo(np.int64).max)
    high = np.full(fabric.num_nodes, -1, np.int64)
    np.minimum.at(low, target, host)
    np.maximum.at(high, target, host)
    inside: Int64s = np.where(low == high, high, -1)
    return inside


def switch_lines(fabric: Fabric) -> list[SwitchLine]:
    """Return the switches that do not come with a host, scale-out ones first, from the leaves up."""
    used = _ports_used(fabric)
    switches = np.flatnonzero((fabric.node_kind >= NodeKind.SCALE_UP_SWITCH) & (switches_inside_hosts(fabric) < 0))
    if not len(switches):
        return []
    tier_of = np.where(fabric.node_kind == NodeKind.SWITCH, fabric.node_tier.astype(np.int64), _SCALE_UP)
    rows = np.stack([tier_of[switches], fabric.node_part[switches]], axis=1)
    kinds, kind_of = np.unique(rows, axis=0, return_inverse=True)
    lines = []
    for k, (tier, part_idx) in enumerate(kinds.tolist()):
        members = switches[kind_of.ravel() == k]
        part = fabric.parts[part_idx] if part_idx >= 0 else None
        count, taken = len(members), int(used[members].sum())
        ports = int(part.number("num_ports", 0)) if part else 0
        typical, most = switch_watts(part)
        price = price_of(part) if part else None
        lines.append(
            SwitchLine(
                tier=_TIER_NAMES.get(tier, f"tier {tier}"),
                model=part.id if part else "",
                count=count,
                ports=ports,
                ports_used=taken,
                ports_free=max(ports * count - taken, 0) if ports else 0,
                ports_used_most=int(used[members].max()),
                typical_watts=typical * count,
                most_watts=most * count,
                price=price.times(count) if price else None,
            )
        )
    return lines


def _ports_used(fabric: Fabric) -> Int64s:
    """Return the ports that the cables of each node take, ``(N,)``: slow ones share a port, fast ones take several."""
    mask = (fabric.link_kind != LinkKind.HOST) & (fabric.node_kind[fabric.link_source] >= NodeKind.SCALE_UP_SWITCH)
    rates, rate_of = np.unique(fabric.link_capacity_bytes_per_s[mask], return_inverse=True)
    pairs, count = np.unique(fabric.link_source[mask].astype(np.int64) * len(rates) + rate_of, return_counts=True)
    node, rate = pairs // len(rates), rates[pairs % len(rates)]
    by_part = np.array([part.number("port_bytes_per_s", np.nan) for part in fabric.parts] + [np.nan])
    port = by_part[fabric.node_part[node]]
    a_port = np.floor(port / rate + 1e-9)  # cables that fit on one port
    a_cable = np.ceil(rate / port - 1e-9)  # ports that one cable takes
    shared = np.ceil(count / np.maximum(a_port, 1))
    ports = np.where(np.isnan(port), count, np.where(a_port >= 1, shared, count * a_cable))
    used: Int64s = np.bincount(node, weights=ports, minlength=fabric.num_nodes).astype(np.int64)
    return used
