"""Pictures of fabrics in layers: cores, spines and leaves above, hosts below, scale-up switches at the bottom.

A few hosts are drawn (the first ones of some leaf groups), with the first of their NICs and accelerators, the switches
that these hang on, and some of each layer above; how many there are stands at the left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from topologies.drawing.svg import Svg
from topologies.fabric import Fabric, Int64s, LinkKind, NodeKind
from topologies.units import to_gbps

__all__ = ["layers_svg"]

_GROUPS, _HOSTS_A_GROUP, _PORTS = 4, 2, 4
_A_ROW = 8  # switches of a layer above the leaves
_LEFT, _ROW = 140.0, 62.0
_WIDTH, _HEIGHT, _CHIP = 26.0, 15.0, 11.0
_FILLS = {"switch": "#f3d9a4", "scale-up": "#e9c6dd", "accelerator": "#bfe3c0", "NIC": "#c9dcf2", "host": "#f4f4f4"}
_TIERS = {1: ("leaf", "leaves"), 2: ("spine", "spines"), 3: ("core", "cores")}


@dataclass
class _Row:
    """One layer: what it is called, how many there are, and which are drawn."""

    name: str
    total: int
    nodes: list[int]
    fill: str


@dataclass
class _Places:
    """Centre of what is drawn."""

    at: dict[int, tuple[float, float]] = field(default_factory=dict)


def layers_svg(fabric: Fabric) -> str:
    """Return the picture."""
    svg = Svg(fabric.name)
    hosts = _shown_hosts(fabric)
    ends = {host: _shown_ends(fabric, host) for host in hosts}
    above = _switch_rows(fabric, [node for accelerators, nics in ends.values() for node in [*accelerators, *nics]])
    below = _scale_up_rows(fabric, [node for accelerators, _ in ends.values() for node in accelerators])
    width = _host_width()
    right = _LEFT + len(hosts) * (width + 10)
    places = _Places()
    y = 40.0 if any(row.nodes for row in above) else 20.0
    for row in above:
        _draw_row(svg, fabric, row, y, right, places)
        y += _ROW
    _draw_hosts(svg, fabric, ends, y, places)
    y += _ROW + 26
    for row in below:
        _draw_row(svg, fabric, row, y, right, places)
        y += _ROW
    _draw_links(svg, fabric, places)
    return str(svg)


def _spread(items: list[int], most: int) -> list[int]:
    """Return at most `most` of the items, first ones and last ones."""
    if len(items) <= most:
        return items
    return items[: (most + 1) // 2] + items[len(items) - most // 2 :]


def _shown_hosts(fabric: Fabric) -> list[int]:
    """Return the first hosts of some leaf groups: one group of each sort, then others."""
    groups: dict[int, list[int]] = {}
    for host, group in enumerate(fabric.host_leaf_group.tolist()):
        groups.setdefault(group, []).append(host)
    num_nics = (
        np.bincount(fabric.nic_host, minlength=fabric.num_hosts) if fabric.num_nics else np.zeros(fabric.num_hosts)
    )
    sorts: dict[tuple[int, int, int], int] = {}
    for group, hosts in groups.items():
        first = hosts[0]
        sort = (int(fabric.host_part[first]), int(fabric.host_num_accelerators[first]), int(num_nics[first]))
        sorts.setdefault(sort, group)
    wanted = list(sorts.values())[:_GROUPS]
    if len(wanted) == 1:
        wanted += [group for group in groups if group not in wanted][-1:]
    each = _HOSTS_A_GROUP if len(groups) > 1 else 2 * _HOSTS_A_GROUP
    return [host for group in sorted(wanted) for host in _spread(groups[group], each)]


def _shown_ends(fabric: Fabric, host: int) -> tuple[list[int], list[int]]:
    """Return the accelerators and NICs of a host that are drawn."""
    accelerators = fabric.host_accelerators(host).tolist()
    nics = (fabric.num_accelerators + np.flatnonzero(fabric.nic_host == host)).tolist() if fabric.num_nics else []
    return _spread(accelerators, _PORTS), _spread(nics, _PORTS)


def _neighbours(fabric: Fabric, nodes: list[int], kind: LinkKind) -> list[int]:
    mask = (fabric.link_kind == kind) & np.isin(fabric.link_source, nodes)
    return [int(node) for node in np.unique(fabric.link_target[mask])]


def _switch_rows(fabric: Fabric, ends: list[int]) -> list[_Row]:
    """Return the layers of switches above the hosts, the highest first."""
    tier = fabric.node_tier.astype(np.int64)
    is_switch = fabric.node_kind == NodeKind.SWITCH
    rows: list[_Row] = []
    reached = [n for n in _neighbours(fabric, ends, LinkKind.SCALE_OUT) if is_switch[n]]
    for level in range(1, int(tier[is_switch].max(initial=0)) + 1):
        here = [node for node in reached if tier[node] == level]
        below = [node for row in rows for node in row.nodes]
        if rows:
            here += [n for n in _neighbours(fabric, below, LinkKind.SCALE_OUT) if is_switch[n] and tier[n] == level]
        most = 4 * _PORTS * _GROUPS if level == 1 else 2 * _A_ROW
        nodes = _spread(sorted(set(here)), _A_ROW if level > 1 and len(set(here)) > most else most)
        total = int(np.count_nonzero(is_switch & (tier == level)))
        one, several = _TIERS.get(level, (f"switch of tier {level}", f"switches of tier {level}"))
        rows.append(_Row(one if total == 1 else several, total, nodes, _FILLS["switch"]))
    return rows[::-1]


def _scale_up_rows(fabric: Fabric, accelerators: list[int]) -> list[_Row]:
    """Return the layers of scale-up switches below the hosts, the nearest first."""
    is_switch = fabric.node_kind == NodeKind.SCALE_UP_SWITCH
    if not is_switch.any():
        return []
    inside = fabric.link_kind == LinkKind.SCALE_UP
    first = fabric.num_accelerators
    near = np.unique(fabric.link_target[inside & (fabric.link_source < first)])
    near = near[is_switch[near]]
    rows, level, known = [], near, np.zeros(fabric.num_nodes, bool)
    wanted = [n for n in _neighbours(fabric, accelerators, LinkKind.SCALE_UP) if is_switch[n]]
    while level.size:
        known[level] = True
        shown = [node for node in wanted if node in set(level.tolist())]
        name = "scale-up switch" if level.size == 1 else "scale-up switches"
        rows.append(_Row(name, int(level.size), _by_domain(fabric, shown), _FILLS["scale-up"]))
        wanted = [n for n in _neighbours(fabric, rows[-1].nodes, LinkKind.SCALE_UP) if is_switch[n] and not known[n]]
        above = np.unique(fabric.link_target[inside & np.isin(fabric.link_source, level)])
        level = above[is_switch[above] & ~known[above]]
    return rows


def _by_domain(fabric: Fabric, switches: list[int]) -> list[int]:
    """Return some switches of each domain."""
    inside = (fabric.link_kind == LinkKind.SCALE_UP) & (fabric.link_source < fabric.num_accelerators)
    domain = np.full(fabric.num_nodes, -1, np.int64)
    domain[fabric.link_target[inside]] = fabric.accelerator_domain[fabric.link_source[inside]]
    members: dict[int, list[int]] = {}
    for node in switches:
        members.setdefault(int(domain[node]), []).append(node)
    each = max(_A_ROW // max(len(members), 1), 1)
    return [node for nodes in members.values() for node in _spread(nodes, each)]


def _draw_row(svg: Svg, fabric: Fabric, row: _Row, y: float, right: float, places: _Places) -> None:
    svg.text(6, y + 2, f"{row.total:,} {row.name}")
    part = fabric.parts[fabric.node_part[row.nodes[0]]].id if row.nodes and fabric.node_part[row.nodes[0]] >= 0 else ""
    svg.text(6, y + 15, part)
    step = (right - _LEFT) / max(len(row.nodes), 1)
    width = min(_WIDTH, step * 0.8)
    for i, node in enumerate(row.nodes):
        x = _LEFT + (i + 0.5) * step
        svg.box(x - width / 2, y - _HEIGHT / 2, width, _HEIGHT, fill=row.fill, title=fabric.node_names[node])
        places.at[node] = (x, y)


def _host_width() -> float:
    return _PORTS * (_CHIP + 5) + 14


def _draw_hosts(
    svg: Svg, fabric: Fabric, ends: dict[int, tuple[list[int], list[int]]], y: float, places: _Places
) -> None:
    width = _host_width()
    svg.text(6, y + 2, f"{fabric.num_hosts:,} hosts")
    svg.text(6, y + 15, f"{fabric.num_accelerators:,} accelerators")
    for i, (host, (accelerators, nics)) in enumerate(ends.items()):
        left = _LEFT + i * (width + 10)
        name = fabric.host_names[host]
        svg.box(left, y - 12, width, 50, fill=_FILLS["host"], title=name)
        svg.text(left + width / 2, y + 50, name if len(name) < 16 else f"…{name[-14:]}", small=True)
        for nodes, dy, what in ((nics, -4.0, "NIC"), (accelerators, 24.0, "accelerator")):
            step = width / max(len(nodes), 1)
            for j, node in enumerate(nodes):
                x = left + (j + 0.5) * step
                svg.box(x - _CHIP / 2, y + dy, _CHIP, _CHIP, fill=_FILLS[what], title=fabric.node_names[node])
                places.at[node] = (x, y + dy + _CHIP / 2)


def _draw_links(svg: Svg, fabric: Fabric, places: _Places) -> None:
    nodes = np.fromiter(places.at, np.int64)
    shown = np.isin(fabric.link_source, nodes) & np.isin(fabric.link_target, nodes)
    link = np.flatnonzero(shown)[::2]  # one direction of each cable
    ends = np.stack([fabric.link_source[link], fabric.link_target[link]], axis=1).astype(np.int64)
    pairs, of = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True)
    count: Int64s = np.bincount(of.ravel(), minlength=len(pairs))
    for pair, number, i in zip(pairs.tolist(), count.tolist(), _first_of(of.ravel(), len(pairs)), strict=True):
        gbps = to_gbps(float(fabric.link_capacity_bytes_per_s[link[i]]))
        kind = "u" if fabric.link_kind[link[i]] == LinkKind.SCALE_UP else ""
        a, b = places.at[pair[0]], places.at[pair[1]]
        svg.line(a, b, width=min(0.6 + 0.4 * number**0.5, 3.0), title=f"{number} × {gbps:g} Gb/s", kind=kind)


def _first_of(of: np.ndarray[tuple[int, ...], np.dtype[np.intp]], size: int) -> list[int]:
    first = np.zeros(size, np.int64)
    first[of[::-1]] = np.arange(of.size)[::-1]
    return [int(i) for i in first]
