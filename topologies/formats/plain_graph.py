"""Any graph of switches and hosts: roles and rates are read from common attributes, or guessed and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topologies.formats.registry import Imported, ReadOptions
from topologies.formats.source import Source
from topologies.formats.wiring import Wiring
from topologies.units import from_gbps

__all__ = ["PlainEdge", "PlainNode", "fabric_of_plain_graph"]

ASSUMED_GBPS = 400.0
"""Rate of an edge that does not say, 10⁹ bit/s: the NIC of 8-GPU hosts since 2022. Source: NVIDIA DGX SuperPOD H100
reference architecture RA-11333-001."""

_ROLE_KEYS = ("type", "role", "device_type", "node_type", "category")
_SWITCH_WORDS = ("switch", "leaf", "spine", "core", "tor", "aggregation", "router", "fabric")
_HOST_WORDS = ("host", "server", "node", "gpu", "compute", "accelerator", "endpoint", "ca", "hca")
_RATE_KEYS = ("rate_gbps", "capacity_gbps", "bandwidth_gbps", "speed_gbps", "gbps")


@dataclass(frozen=True)
class PlainNode:
    """A node with its attributes, and its line if known."""

    name: str
    data: Mapping[str, Any]
    line: int | None


@dataclass(frozen=True)
class PlainEdge:
    """An edge with its attributes, and its line if known."""

    source: str
    target: str
    data: Mapping[str, Any]
    line: int | None


def fabric_of_plain_graph(
    nodes: Sequence[PlainNode],
    edges: Sequence[PlainEdge],
    is_directed: bool,
    source: Source,
    format: str,
    options: ReadOptions,
) -> Imported:
    """Return the fabric of a graph whose nodes are switches and hosts.

    A node is a switch or a host by a word in its attribute ``type`` or ``role``; without one, nodes with one neighbour
    are hosts. Each edge is a cable; of a directed graph, two opposite edges are one cable.

    Raises
    ------
    InputError
        If an edge names an unknown node or joins two hosts, or there is no host.
    """
    wiring = Wiring(source.stem, format, source.name, description=f"Graph of {source.name}.")
    wanted = edges
    if is_directed:
        open_edges: Counter[tuple[str, str]] = Counter()
        wanted = []
        for edge in edges:
            if open_edges[edge.target, edge.source] > 0:
                open_edges[edge.target, edge.source] -= 1
            else:
                open_edges[edge.source, edge.target] += 1
                wanted.append(edge)
    names = {node.name for node in nodes}
    neighbours: dict[str, set[str]] = {name: set() for name in names}
    for edge in edges:
        for end, other in ((edge.source, edge.target), (edge.target, edge.source)):
            if end not in names:
                raise source.error(edge.line, what="an edge names an unknown node", found=repr(end))
            neighbours[end].add(other)
    is_host = {node.name: _is_host(node.data) for node in nodes}
    guessed = [name for name, role in is_host.items() if role is None]
    for name in guessed:
        is_host[name] = len(neighbours[name]) == 1
    if guessed:
        wiring.guesses.append(f"{len(guessed)} nodes do not say what they are: those with one neighbour are hosts")
    count: Counter[str] = Counter()
    for node in nodes:
        if not is_host[node.name]:
            wiring.switch(node.name)
    without_rate = 0
    for edge in wanted:
        rate, is_assumed = _rate(edge, source, options)
        without_rate += is_assumed
        ends = []
        for name in (edge.source, edge.target):
            if is_host[name]:
                ends.append(wiring.nic(name, f"nic{count[name]}"))
                count[name] += 1
            else:
                ends.append(name)
        if is_host[edge.source] and is_host[edge.target]:
            raise source.error(
                edge.line,
                what="an edge joins two hosts",
                found=f"{edge.source} – {edge.target}",
                allowed="a switch between",
            )
        wiring.cable(ends[0], "", ends[1], "", rate, is_guessed=is_assumed)
    if without_rate:
        told = options.nic_gbps or ASSUMED_GBPS
        wiring.guesses.append(f"{without_rate} edges without {_RATE_KEYS[0]} have {told:g} Gb/s")
    wiring.guesses.append("each edge at a host is a NIC")
    return wiring.build(options)


def _is_host(data: Mapping[str, Any]) -> bool | None:
    for key in _ROLE_KEYS:
        word = str(data.get(key, "")).lower()
        if any(w in word for w in _SWITCH_WORDS):
            return False
        if any(w in word for w in _HOST_WORDS):
            return True
    return None


def _rate(edge: PlainEdge, source: Source, options: ReadOptions) -> tuple[float, bool]:
    for key in _RATE_KEYS:
        if key in edge.data:
            value = edge.data[key]
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e9:
                raise source.error(edge.line, what=f"bad {key}", found=repr(value)[:40], allowed="a positive number")
            return from_gbps(float(value)), False
    return from_gbps(options.nic_gbps or ASSUMED_GBPS), True
