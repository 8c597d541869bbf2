"""Pictures of fabrics without layers: accelerators, or the routers on them, wired to each other."""

from __future__ import annotations

import numpy as np

from topologies.drawing.svg import Svg
from topologies.fabric import Fabric, LinkKind
from topologies.units import to_gbps

__all__ = ["mesh_svg"]

_MOST = 80
"""Nodes that are drawn; of a larger mesh, those nearest to the first."""

_SIZE = 14.0
_SPREAD = 36.0
_CHIP, _SWITCH = "#bfe3c0", "#f3d9a4"


def mesh_svg(fabric: Fabric) -> str:
    """Return the picture: places by distances in the graph (Kamada and Kawai 1989)."""
    import networkx as nx

    first = fabric.num_accelerators
    link = np.flatnonzero((fabric.link_kind == LinkKind.SCALE_UP) & (fabric.link_source < fabric.link_target))
    router = np.arange(fabric.num_nodes)  # an accelerator with a router of its own is drawn as that router
    hanging = link[fabric.link_source[link] < first]
    degree = np.bincount(fabric.link_source[hanging], minlength=fabric.num_nodes)
    on_it = np.bincount(fabric.link_target[hanging], minlength=fabric.num_nodes)
    own = hanging[(degree[fabric.link_source[hanging]] == 1) & (on_it[fabric.link_target[hanging]] == 1)]
    router[fabric.link_source[own]] = fabric.link_target[own]
    graph: nx.Graph[int] = nx.Graph()
    for i in link.tolist():
        a, b = int(router[fabric.link_source[i]]), int(router[fabric.link_target[i]])
        if a != b:
            graph.add_edge(a, b, title=f"{to_gbps(float(fabric.link_capacity_bytes_per_s[i])):g} Gb/s")
    chips = set(router[:first].tolist())
    start = int(router[0])
    near = [start, *(node for _, node in nx.bfs_edges(graph, start))][:_MOST]
    graph = graph.subgraph(near).copy()
    svg = Svg(fabric.name)
    place = nx.kamada_kawai_layout(graph)
    xy = np.array([place[node] for node in graph])
    at_node = dict(zip(graph, (xy - xy.min(axis=0)) * _SPREAD * len(graph) ** 0.5 / 2 + 30, strict=True))
    for a, b, what in graph.edges(data=True):
        svg.line(_point(at_node[a]), _point(at_node[b]), width=1.2, title=what["title"], kind="u")
    for node in graph:
        x, y = _point(at_node[node])
        fill = _CHIP if node in chips else _SWITCH
        svg.box(x - _SIZE / 2, y - _SIZE / 2, _SIZE, _SIZE, fill=fill, title=fabric.node_names[node])
    shown = sum(node in chips for node in graph)
    more = "" if shown == first else f", {shown:,} of them drawn"
    switches = len(set(router.tolist()) - chips - set(range(first)))
    words = f"{first:,} accelerators{more}" + (f", {switches:,} switches" if switches else "")
    svg.text(8, max(y for _, y in map(_point, at_node.values())) + 34, words)
    return str(svg)


def _point(xy: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    return float(xy[0]), float(xy[1])
