"""Between `Fabric` and networkx: one multigraph with every attribute that makes up a fabric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from topologies.errors import InputError
from topologies.fabric import Fabric, NodeKind

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["from_networkx", "to_networkx"]


def to_networkx(fabric: Fabric) -> nx.MultiDiGraph[str]:
    """Return the fabric as a networkx multigraph.

    Nodes carry ``kind``, and where they apply ``tier``, ``pod``, ``part``, ``host``, ``rail``, ``rack``. Edges carry
    ``capacity_bytes_per_s`` and ``latency_s``; the two directions of cable ``c`` both have the key ``c``, and one is
    ``is_reverse``, so that reading the graph back gives the links in the same order.
    The graph carries ``name``, ``description``, ``assumptions`` and ``parts``.
    """
    import networkx as nx

    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(
        name=fabric.name,
        description=fabric.description,
        assumptions=list(fabric.assumptions),
        parts=list(fabric.parts),
    )
    names = list(fabric.node_names)
    hosts, racks = list(fabric.host_names), list(fabric.rack_names)
    first_nic = fabric.num_accelerators
    for node, name in enumerate(names):
        kind = NodeKind(fabric.node_kind[node])
        attributes: dict[str, Any] = {"kind": kind.name.lower()}
        if fabric.node_part[node] >= 0:
            attributes["part"] = fabric.parts[fabric.node_part[node]].id
        if kind in (NodeKind.ACCELERATOR, NodeKind.NIC):
            is_nic = kind is NodeKind.NIC
            host = int(fabric.nic_host[node - first_nic] if is_nic else fabric.accelerator_host[node])
            attributes["host"] = hosts[host]
            if is_nic:
                attributes["rail"] = int(fabric.nic_rail[node - first_nic])
            if fabric.host_rack[host] >= 0:
                attributes["rack"] = racks[fabric.host_rack[host]]
        elif kind is NodeKind.SWITCH:
            attributes["tier"] = int(fabric.node_tier[node])
            if fabric.node_pod[node] >= 0:
                attributes["pod"] = int(fabric.node_pod[node])
        graph.add_node(name, **attributes)
    for link in range(fabric.num_links):
        graph.add_edge(
            names[fabric.link_source[link]],
            names[fabric.link_target[link]],
            key=link // 2,
            capacity_bytes_per_s=float(fabric.link_capacity_bytes_per_s[link]),
            latency_s=float(fabric.link_latency_s[link]),
            is_reverse=bool(link % 2),
        )
    return graph


def from_networkx(graph: nx.MultiDiGraph[Any]) -> Fabric:
    """Return the fabric of a graph with the attributes that `to_networkx` writes; see there.

    Raises
    ------
    InputError
        If a node or an edge lacks an attribute, an edge has no opposite of the same key, or the graph is no valid
        fabric.
    """
    from topologies.builder import FabricBuilder

    name = str(graph.graph.get("name", "graph"))
    builder = FabricBuilder(
        name,
        description=str(graph.graph.get("description", "")),
        assumptions=graph.graph.get("assumptions", ()),
    )
    parts = {part.id: part for part in graph.graph.get("parts", ())}
    builder.add_parts(parts.values())

    def attribute(where: object, attributes: dict[str, Any], key: str) -> Any:
        if key not in attributes:
            raise InputError(what=f"the graph lacks the attribute {key!r}", where=f"{name}: {where}")
        return attributes[key]

    by_host: dict[str, tuple[list[str], list[str]]] = {}
    for node, attributes in graph.nodes(data=True):
        kind = attribute(node, attributes, "kind")
        if kind in ("accelerator", "nic"):
            group = by_host.setdefault(str(attribute(node, attributes, "host")), ([], []))
            group[kind == "nic"].append(str(node))
    for host, (accelerators, nics) in by_host.items():
        builder.add_named_host(
            host,
            accelerators=[(a, parts.get(graph.nodes[a].get("part", ""))) for a in accelerators],
            nics=[
                (n, parts.get(graph.nodes[n].get("part", "")), int(attribute(n, graph.nodes[n], "rail"))) for n in nics
            ],
            rack=graph.nodes[accelerators[0]].get("rack") if accelerators else None,
        )
    for node, attributes in graph.nodes(data=True):
        if attributes["kind"] in ("accelerator", "nic"):
            continue
        builder.add_switch(
            str(node),
            tier=attributes.get("tier"),
            pod=attributes.get("pod"),
            part=parts.get(attributes.get("part", "")),
            scale_up=attributes["kind"] == "scale_up_switch",
        )
    seen: set[tuple[Any, Any, Any]] = set()
    edges = (
        sorted(graph.edges(keys=True, data=True), key=lambda e: (e[2], bool(e[3].get("is_reverse", False))))
        if _int_keys(graph)
        else graph.edges(keys=True, data=True)
    )
    for source, target, key, attributes in edges:
        if (target, source, key) in seen:
            continue
        seen.add((source, target, key))
        where = f"{source} → {target}"
        back = graph.get_edge_data(target, source, key)
        if back is None:
            raise InputError(what="a link has no opposite direction of the same key", where=f"{name}: {where}")
        builder.connect(
            str(source),
            str(target),
            rate_bytes_per_s=float(attribute(where, attributes, "capacity_bytes_per_s")),
            latency_s=float(attributes.get("latency_s", 0.0)),
            reverse_bytes_per_s=float(attribute(where, back, "capacity_bytes_per_s")),
        )
    return builder.build()


def _int_keys(graph: nx.MultiDiGraph[Any]) -> bool:
    """Tell whether all edge keys are whole numbers, so that they give the order of the cables."""
    return all(isinstance(key, (int, np.integer)) for _, _, key in graph.edges(keys=True))
