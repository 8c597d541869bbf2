"""A fabric as a fabric file of ``kind: graph`` with everything stated: what it reads back as is the same fabric."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s, NodeKind
from topologies.files.document import Document
from topologies.files.name_ranges import expand_names
from topologies.formats.name_runs import name_runs
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.source import Source, only_one
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import from_gbps, from_us, to_gbps, to_us

__all__ = ["NO_PORT", "FabricTextFormat", "graph_document", "ports_of"]

NO_PORT = "-"
"""Stands in a fabric file for the port of an end that has none."""

_STAR = 4
"""Fewest cables in a row at one node that are stated as that node with all of the others."""


class FabricTextFormat(BaseFormat):
    """Registers ``fabric``."""

    name = "fabric"
    summary = "our own fabric file, every host, switch and link stated"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for the key that every fabric file begins with."""
        from topologies.formats.importing import is_own

        return 100 if is_own(source) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of one file of any kind; see `FabricFormat.read`."""
        from topologies.files.fabric_file import fabric_of

        source = only_one(sources, "two fabric files")
        document = source.document
        fabric = fabric_of(document, parts=options.parts)
        return Imported(fabric, self.name, ports=ports_of(document, fabric))

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return the fabric as YAML."""
        document, losses = graph_document(fabric, ports if ports and ports.are_given else None)
        lines = []
        for key, value in document.items():
            if isinstance(value, list):
                lines += [f"{key}:", *(f"  - {_text(entry)}" for entry in value)]
            elif key == "host_types":
                lines += [f"{key}:", *(f"  {name}: {_text(entry)}" for name, entry in value.items())]
            else:
                lines.append(f"{key}: {_text(value)}")
        return Exported("\n".join(lines) + "\n", tuple(losses))


def graph_document(fabric: Fabric, ports: CablePorts | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return the content of a fabric file, and what it does not hold.

    Parameters
    ----------
    ports
        Port labels that were given; left out if there are none.

    Raises
    ------
    InputError
        If a name is one that a fabric file cannot hold.
    """
    losses: list[str] = []
    known = _known_parts(fabric, losses)
    if ports is not None and any(set(label) & set("[]") for side in (ports.source, ports.target) for label in side):
        losses.append("port labels, some of which have brackets")
        ports = None
    types: dict[str, str] = {}
    hosts = list(_hosts(fabric, known, types))
    document: dict[str, Any] = {
        "schema_version": 1,
        "kind": "graph",
        "name": fabric.name[:200] or "fabric",
        "description": fabric.description,
        "assumptions": list(fabric.assumptions),
        "host_types": {name: json.loads(content) for content, name in types.items()},
        "hosts": hosts,
        "switches": list(_switches(fabric, known)),
        "links": list(_links(fabric, ports)),
    }
    return {key: value for key, value in document.items() if value not in ("", [])}, losses


def _known_parts(fabric: Fabric, losses: list[str]) -> dict[int, str]:
    """Return the parts of the fabric that are the catalogue's own, by position."""
    catalogue = load_parts()
    known = {}
    for i, part in enumerate(fabric.parts):
        if part.id not in catalogue:
            losses.append(f"part {part.id}, which is not in the catalogue")
            continue
        if not _same(part, catalogue[part.id]):
            losses.append(f"values of part {part.id} that differ from the catalogue's")
        known[i] = part.id
    return known


def _same(a: Part, b: Part) -> bool:
    return a.part_class == b.part_class and dict(a.values) == dict(b.values)


def _hosts(fabric: Fabric, known: dict[int, str], types: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Yield runs of alike hosts that follow each other; fill in `types`, name by content."""
    names = fabric.node_names
    first_nic = fabric.num_accelerators
    nic_count = np.bincount(fabric.nic_host, minlength=fabric.num_hosts)
    if np.any(np.diff(fabric.nic_host) < 0):
        raise InputError(
            what="the NICs do not stand in the order of their hosts", where=fabric.name, fix="write node-link"
        )
    nic_start = np.concatenate([[0], np.cumsum(nic_count)])
    run: list[str] = []
    now: tuple[str, int] | None = None

    def entry() -> dict[str, Any]:
        assert now is not None
        content, rack = now
        made: dict[str, Any] = {"names": _short(run), "type": types.setdefault(content, f"type{len(types)}")}
        return made if rack < 0 else {**made, "rack": fabric.rack_names[rack]}

    for host in range(fabric.num_hosts):
        name = fabric.host_names[host]
        accelerators = fabric.host_accelerators(host).tolist()
        nics = list(range(int(nic_start[host]), int(nic_start[host + 1])))
        content = json.dumps(
            {
                "inside": "stated",
                **_part_key("accelerator", fabric, accelerators, known),
                "accelerators": len(accelerators),
                **_labels("accelerator_names", "gpu", name, [names[a] for a in accelerators]),
                **_part_key("nic", fabric, [first_nic + n for n in nics], known),
                "nics": len(nics),
                **_labels("nic_names", "nic", name, [names[first_nic + n] for n in nics]),
                **_rails(fabric.nic_rail[nics].tolist()),
            }
        )
        key = content, int(fabric.host_rack[host])
        if now is not None and key != now:
            yield entry()
            run = []
        now = key
        run.append(name)
    if now is not None:
        yield entry()


def _part_key(key: str, fabric: Fabric, nodes: Sequence[int], known: dict[int, str]) -> dict[str, str]:
    part = known.get(int(fabric.node_part[nodes[0]])) if nodes else None
    return {key: part} if part else {}


def _labels(key: str, word: str, host: str, names: Sequence[str]) -> dict[str, str | list[str]]:
    if list(names) == [f"{host}/{word}{i}" for i in range(len(names))]:
        return {}
    bad = next((name for name in names if not name.startswith(f"{host}/")), None)
    if bad is not None:
        raise InputError(
            what="a fabric file names what a host holds after the host",
            found=repr(bad),
            allowed=f"{host}/…",
            fix="write node-link, which takes any name",
        )
    return {key: _short([name[len(host) + 1 :] for name in names])}


def _rails(rails: list[int]) -> dict[str, list[int]]:
    return {} if rails == list(range(len(rails))) else {"nic_rails": rails}


def _switches(fabric: Fabric, known: dict[int, str]) -> Iterator[dict[str, Any]]:
    first = fabric.num_accelerators + fabric.num_nics
    run: list[str] = []
    now: dict[str, Any] = {}
    for node in range(first, fabric.num_nodes):
        is_scale_up = fabric.node_kind[node] == NodeKind.SCALE_UP_SWITCH
        key: dict[str, Any] = {"tier": "scale-up" if is_scale_up else int(fabric.node_tier[node])}
        if int(fabric.node_part[node]) in known:
            key["part"] = known[int(fabric.node_part[node])]
        if fabric.node_pod[node] >= 0 and not is_scale_up:
            key["pod"] = str(int(fabric.node_pod[node]))
        if run and key != now:
            yield {"names": _short(run), **now}
            run = []
        now = key
        run.append(fabric.node_names[node])
    if run:
        yield {"names": _short(run), **now}


def _links(fabric: Fabric, ports: CablePorts | None) -> Iterator[dict[str, Any]]:
    """Yield the cables in their order, those of one rate and latency after each other in one entry."""
    source, target = fabric.link_source[0::2].astype(np.int64), fabric.link_target[0::2].astype(np.int64)
    rate, back = fabric.link_capacity_bytes_per_s[0::2], fabric.link_capacity_bytes_per_s[1::2]
    latency = fabric.link_latency_s[0::2]
    change = (rate[1:] != rate[:-1]) | (back[1:] != back[:-1]) | (latency[1:] != latency[:-1])
    starts = np.concatenate([[0], np.flatnonzero(change) + 1, [len(rate)]])
    for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if begin == end:
            continue
        facts = {"rate_gbps": _gbps(float(rate[begin])), "latency_us": _us(float(latency[begin]))}
        if back[begin] != rate[begin]:
            facts["reverse_gbps"] = _gbps(float(back[begin]))
        for first, last in _pieces(source[begin:end], target[begin:end]):
            piece = slice(begin + first, begin + last)
            told = {} if ports is None else _ports(ports, piece)
            yield {**_sides(fabric, source[piece], target[piece]), **facts, **told}


def _ports(ports: CablePorts, piece: slice) -> dict[str, Any]:
    """Return the port labels of a stretch of cables, of the sides that have any."""
    sides = (("a_ports", ports.source[piece]), ("b_ports", ports.target[piece]))
    return {key: _short([label or NO_PORT for label in labels]) for key, labels in sides if any(labels)}


def ports_of(document: Document, fabric: Fabric) -> CablePorts | None:
    """Return the port labels of a valid fabric file; None if it has none.

    The cables that the file's `links` state are the last of the fabric.
    """
    links = document.root.get("links") if document.root.get("kind") == "graph" else None
    if not any("a_ports" in entry or "b_ports" in entry for entry in links or ()):
        return None
    sides: tuple[list[str], list[str]] = ([], [])
    for entry in links or ():
        a, b = (len(_expanded(entry[side])) for side in ("a", "b"))
        count = (a if entry.get("pairing") == "each" else a * b) * entry.get("count", 1)
        for labels, key in zip(sides, ("a_ports", "b_ports"), strict=True):
            given = _expanded(entry[key]) if entry.get(key) is not None else [""] * count
            labels += ["" if label == NO_PORT else label for label in given]
    inside = [""] * (fabric.num_links // 2 - len(sides[0]))
    return CablePorts(inside + sides[0], inside + sides[1])


def _expanded(value: str | list[str]) -> list[str]:
    return [name for text in ([value] if isinstance(value, str) else value) for name in expand_names(text)]


def _pieces(source: Int64s, target: Int64s) -> Iterator[tuple[int, int]]:
    """Yield stretches of cables: those in a row at one node by themselves, the others as they come."""
    same = (source[1:] == source[:-1]) | (target[1:] == target[:-1])
    begin = at = 0
    while at < len(source):
        end = at + 1
        if at < len(same) and same[at]:
            for side in (source, target):
                differs = np.flatnonzero(side[at : at + 4096] != side[at])
                end = max(end, at + (int(differs[0]) if len(differs) else len(side[at : at + 4096])))
        if end - at >= _STAR:
            if begin < at:
                yield begin, at
            yield at, end
            begin = end
        at = end
    if begin < len(source):
        yield begin, len(source)


def _sides(fabric: Fabric, source: Int64s, target: Int64s) -> dict[str, Any]:
    names = fabric.node_names
    if np.all(source == source[0]):
        return {"a": _short([names[int(source[0])]]), "b": _short([names[n] for n in target.tolist()])}
    if np.all(target == target[0]):
        return {"a": _short([names[n] for n in source.tolist()]), "b": _short([names[int(target[0])]])}
    sides = (_short([names[n] for n in side.tolist()]) for side in (source, target))
    return {**dict(zip(("a", "b"), sides, strict=True)), "pairing": "each"}


def _short(names: Sequence[str]) -> str | list[str]:
    """Return names in short, as one expression where one is enough."""
    runs = name_runs(names)
    return runs[0] if len(runs) == 1 else runs


def _gbps(rate_bytes_per_s: float) -> float:
    """Return the rate in 10⁹ bit/s that reads back as the same number of bytes/s."""
    return _inverse(rate_bytes_per_s, to_gbps(rate_bytes_per_s), from_gbps)


def _us(time_s: float) -> float:
    return _inverse(time_s, to_us(time_s), from_us)


def _inverse(wanted: float, near: float, back: Any) -> float:
    for digits in range(1, 17):
        rounded = float(f"{near:.{digits}g}")
        if back(rounded) == wanted:
            return rounded
    steps = [near]
    for _ in range(4):
        steps += [math.nextafter(steps[-1], math.inf)]
    below = near
    for _ in range(4):
        below = math.nextafter(below, -math.inf)
        steps.append(below)
    return next((value for value in steps if back(value) == wanted), near)


def _text(value: Any) -> str:
    """Return a value as YAML in flow style, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(entry) for entry in value) + "]"
    if isinstance(value, float):
        return np.format_float_positional(value, unique=True, trim="0")
    return json.dumps(value, ensure_ascii=False)
