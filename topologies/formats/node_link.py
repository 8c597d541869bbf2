"""Node-link JSON as networkx writes and reads it: every attribute of a fabric."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from topologies.fabric import Fabric
from topologies.files.document import Document, describe
from topologies.formats.graph_attributes import EDGE_TYPES, NODE_TYPES, fabric_of_graph, graph_facts, parts_of
from topologies.formats.plain_graph import PlainEdge, PlainNode, fabric_of_plain_graph
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.source import Source

__all__ = ["NodeLinkFormat"]

_MULTIGRAPH = re.compile(r'"(multigraph|directed)"\s*:')
_NODES = re.compile(r'"nodes"\s*:\s*\[')


class NodeLinkFormat(BaseFormat):
    """Registers ``node-link``."""

    name = "node-link"
    summary = "node-link JSON with every attribute, as networkx reads it; or any graph of switches and hosts"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for nodes with edges or links beside each other."""
        if not source.is_json:
            return 0
        return 80 if _MULTIGRAPH.search(source.head) else 30 if _NODES.search(source.head) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of one file; see `FabricFormat.read`."""
        source = sources[0]
        document = source.document
        root = document.root
        edges_key = "edges" if isinstance(root, dict) and "edges" in root else "links"
        nodes = _records(document, "nodes", ("id",))
        edges = _records(document, edges_key, ("source", "target"))
        if not any("kind" in node for node in nodes):
            return self._read_plain(document, nodes, edges, edges_key, source, options)
        import networkx as nx

        facts = root.get("graph") if isinstance(root.get("graph"), dict) else {}
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(
            name=options.name or str(facts.get("name", source.stem)),
            description=str(facts.get("description", "")),
            assumptions=[str(text) for text in facts.get("assumptions", ()) or ()],
            parts=parts_of(facts.get("parts", []), source),
        )
        for node in nodes:
            graph.add_node(str(node["id"]), **{k: v for k, v in node.items() if k in NODE_TYPES})
        for i, edge in enumerate(edges):
            ends = str(edge["source"]), str(edge["target"])
            for side, end in zip(("source", "target"), ends, strict=True):
                if end not in graph:
                    raise document.error((edges_key, i, side), what="an edge names an unknown node", found=repr(end))
            graph.add_edge(*ends, key=edge.get("key", 0), **{k: v for k, v in edge.items() if k in EDGE_TYPES})
        return fabric_of_graph(graph, source, self.name)

    def _read_plain(
        self,
        document: Document,
        nodes: list[dict[str, Any]],
        edges: list[dict[str, Any]],
        edges_key: str,
        source: Source,
        options: ReadOptions,
    ) -> Imported:
        plain_nodes = [PlainNode(str(node["id"]), node, None) for node in nodes]
        plain_edges = [PlainEdge(str(e["source"]), str(e["target"]), e, None) for e in edges]
        is_directed = document.root.get("directed") is True
        return fabric_of_plain_graph(plain_nodes, plain_edges, is_directed, source, self.name, options)

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return every attribute of the fabric."""
        from topologies.graphs import to_networkx

        graph = to_networkx(fabric)
        lines = [
            "{",
            ' "directed": true,',
            ' "multigraph": true,',
            f' "graph": {_json(graph_facts(fabric))},',
            ' "nodes": [',
        ]
        lines.append(",\n".join(f"  {_json({'id': n, **data})}" for n, data in graph.nodes(data=True)))
        lines.append(' ],\n "edges": [')
        lines.append(
            ",\n".join(
                f"  {_json({'source': a, 'target': b, 'key': key, **data})}"
                for a, b, key, data in graph.edges(keys=True, data=True)
            )
        )
        lines.append(" ]\n}")
        return Exported("\n".join(lines) + "\n", ("port labels",) if ports and ports.are_given else ())


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _records(document: Document, key: str, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the list of mappings under a key, each with the keys needed."""
    rows = document.root.get(key) if isinstance(document.root, dict) else None
    if not isinstance(rows, list):
        raise document.error((key,), what=f"no list of {key}", found=describe(rows))
    for i, row in enumerate(rows):
        missing = next((k for k in needed if not isinstance(row, dict) or not isinstance(row.get(k), str | int)), None)
        if missing is not None:
            raise document.error((key, i), what=f"no {missing}", found=describe(row), allowed=", ".join(needed))
    return rows
