"""What GraphML and node-link JSON have in common: a fabric's networkx graph with plain values for every attribute."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.formats.registry import Imported
from topologies.formats.source import Source
from topologies.parts import Part, PartClass

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["EDGE_TYPES", "NODE_TYPES", "fabric_of_graph", "graph_facts", "parts_of"]

NODE_TYPES: Mapping[str, type] = {
    "kind": str,
    "host": str,
    "rack": str,
    "part": str,
    "rail": int,
    "tier": int,
    "pod": int,
}
"""Attributes of nodes, as `topologies.graphs.to_networkx` names them."""

EDGE_TYPES: Mapping[str, type] = {"capacity_bytes_per_s": float, "latency_s": float, "is_reverse": bool}
"""Attributes of directed edges."""


def graph_facts(fabric: Fabric) -> dict[str, Any]:
    """Return name, description, assumptions and parts of a fabric as plain values."""
    return {
        "name": fabric.name,
        "description": fabric.description,
        "assumptions": list(fabric.assumptions),
        "parts": [
            {
                "id": part.id,
                "class": part.part_class,
                "vendor": part.vendor,
                "description": part.description,
                "values": dict(part.values),
                "sources": dict(part.sources),
                "unverified": sorted(part.unverified),
            }
            for part in fabric.parts
        ],
    }


def parts_of(value: object, source: Source) -> list[Part]:
    """Return the parts that `graph_facts` wrote.

    Raises
    ------
    InputError
        If they are something else.
    """
    parts = []
    entries: list[Any] = value if isinstance(value, list) else [value]
    for entry in entries:
        is_good = (
            isinstance(entry, dict)
            and all(isinstance(entry.get(key, ""), str) for key in ("id", "vendor", "description"))
            and entry.get("class") in get_args(PartClass)
            and all(isinstance(entry.get(key, {}), dict) for key in ("values", "sources"))
            and all(isinstance(v, str | int | float) for v in entry.get("values", {}).values())
            and isinstance(entry.get("unverified", []), list)
        )
        if not is_good:
            raise source.error(
                None, what="not a part", found=json.dumps(entry)[:80], allowed="id, class, values, sources"
            )
        parts.append(
            Part(
                id=entry["id"],
                part_class=entry["class"],
                vendor=entry.get("vendor", ""),
                description=entry.get("description", ""),
                values=entry.get("values", {}),
                sources={str(k): str(v) for k, v in entry.get("sources", {}).items()},
                unverified=frozenset(map(str, entry.get("unverified", []))),
            )
        )
    return parts


def fabric_of_graph(graph: nx.MultiDiGraph[Any], source: Source, format: str) -> Imported:
    """Return the fabric of a graph with a fabric's attributes.

    Raises
    ------
    InputError
        If it lacks attributes, or is no fabric; names the file.
    """
    from topologies.graphs import from_networkx

    try:
        return Imported(from_networkx(graph), format)
    except InputError as error:
        raise InputError(
            what=error.what,
            where=f"{source.name}: {error.where}",
            found=error.found,
            allowed=error.allowed,
            fix=error.fix or "give a graph that scaleplan wrote, or one with these attributes",
        ) from None
    except (TypeError, ValueError) as error:
        raise source.error(None, what="an attribute is of the wrong type", found=error) from None
