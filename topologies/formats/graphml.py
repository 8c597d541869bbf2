"""GraphML as networkx writes and reads it: every attribute of a fabric."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from topologies.fabric import Fabric
from topologies.formats.graph_attributes import EDGE_TYPES, NODE_TYPES, fabric_of_graph, graph_facts, parts_of
from topologies.formats.plain_graph import PlainEdge, PlainNode, fabric_of_plain_graph
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.safe_xml import Element, parse_xml
from topologies.formats.source import Source

__all__ = ["GraphmlFormat"]

_TYPE_NAMES = {str: "string", int: "long", float: "double", bool: "boolean"}
_JSON_KEYS = ("assumptions", "parts")
_READERS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": lambda text: {"true": True, "1": True, "false": False, "0": False}[text.strip().lower()],
}


class GraphmlFormat(BaseFormat):
    """Registers ``graphml``."""

    name = "graphml"
    summary = "GraphML with every attribute, as networkx reads it; or any graph of switches and hosts"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for its root element."""
        return 95 if "<graphml" in source.head else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of one file; see `FabricFormat.read`."""
        import networkx as nx

        source = sources[0]
        root = parse_xml(source)
        keys = {e.attributes["id"]: e for e in root.walk() if e.tag == "key" and "id" in e.attributes}
        graphs = [e for e in root.children if e.tag == "graph"]
        if root.tag != "graphml" or len(graphs) != 1:
            raise source.error(root.line, what="not one graph", found=f"<{root.tag}>, {len(graphs)} graphs")
        element = graphs[0]
        nodes = [
            (_attribute(e, "id", source), _data(e, keys, source), e.line) for e in element.children if e.tag == "node"
        ]
        edges = [e for e in element.children if e.tag == "edge"]
        if not any("kind" in data for _, data, _ in nodes):
            return fabric_of_plain_graph(
                [PlainNode(*node) for node in nodes],
                [
                    PlainEdge(
                        _attribute(e, "source", source), _attribute(e, "target", source), _data(e, keys, source), e.line
                    )
                    for e in edges
                ],
                element.attributes.get("edgedefault") == "directed",
                source,
                self.name,
                options,
            )
        facts = _data(element, keys, source)
        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(
            name=options.name or facts.get("name", source.stem),
            description=facts.get("description", ""),
            assumptions=_json(facts.get("assumptions", "[]"), source, element.line),
            parts=parts_of(_json(facts.get("parts", "[]"), source, element.line), source),
        )
        for name, data, _ in nodes:
            graph.add_node(name, **data)
        for e in edges:
            ends = _attribute(e, "source", source), _attribute(e, "target", source)
            for end in ends:
                if end not in graph:
                    raise source.error(e.line, what="an edge names an unknown node", found=repr(end))
            key = e.attributes.get("id", "0")
            graph.add_edge(*ends, key=int(key) if key.isdecimal() and len(key) < 16 else key, **_data(e, keys, source))
        return fabric_of_graph(graph, source, self.name)

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return every attribute of the fabric."""
        return Exported("\n".join(_lines(fabric)) + "\n", ("port labels",) if ports and ports.are_given else ())


def _attribute(element: Element, name: str, source: Source) -> str:
    if name not in element.attributes:
        raise source.error(element.line, what=f"<{element.tag}> without {name}", fix=f'add {name}="…"')
    return element.attributes[name]


def _data(element: Element, keys: dict[str, Element], source: Source) -> dict[str, Any]:
    """Return the ``<data>`` of a node, an edge or the graph, typed as the keys say."""
    values: dict[str, Any] = {}
    for child in element.children:
        if child.tag != "data":
            continue
        key = keys.get(_attribute(child, "key", source))
        if key is None:
            raise source.error(child.line, what="data of an unknown key", found=repr(child.attributes["key"]))
        kind = key.attributes.get("attr.type", "string")
        name = key.attributes.get("attr.name", key.attributes["id"])
        try:
            values[name] = _READERS.get(kind, str)(child.text)
        except (KeyError, ValueError):
            raise source.error(
                child.line, what=f"{name} is not of its type", found=child.text[:60], allowed=kind
            ) from None
    return values


def _plain(value: object) -> str:
    """Return a number or a truth value as GraphML writes it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _json(text: str, source: Source, line: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise source.error(line, what="assumptions or parts are not JSON", found=text[:60]) from None


def _lines(fabric: Fabric) -> Iterator[str]:
    """Yield the lines of the file; names are escaped."""
    from topologies.graphs import to_networkx

    graph = to_networkx(fabric)
    facts = graph_facts(fabric)
    key_of: dict[tuple[str, str], str] = {}
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    typed: list[tuple[str, str, type]] = [("graph", name, str) for name in facts]
    typed += [("node", name, t) for name, t in NODE_TYPES.items()]
    typed += [("edge", name, t) for name, t in EDGE_TYPES.items()]
    for domain, name, value_type in typed:
        key = key_of[domain, name] = f"d{len(key_of)}"
        yield f'<key id="{key}" for="{domain}" attr.name="{name}" attr.type="{_TYPE_NAMES[value_type]}"/>'
    yield '<graph edgedefault="directed">'
    for name, value in facts.items():
        text = json.dumps(value, ensure_ascii=False) if name in _JSON_KEYS else value
        yield f'<data key="{key_of["graph", name]}">{escape(text)}</data>'
    for node, data in graph.nodes(data=True):
        inner = "".join(f'<data key="{key_of["node", k]}">{escape(str(v))}</data>' for k, v in data.items())
        yield f"<node id={quoteattr(node)}>{inner}</node>"
    for source, target, key, data in graph.edges(keys=True, data=True):
        inner = "".join(f'<data key="{key_of["edge", k]}">{_plain(v)}</data>' for k, v in data.items())
        yield f'<edge source={quoteattr(source)} target={quoteattr(target)} id="{key}">{inner}</edge>'
    yield "</graph>"
    yield "</graphml>"
