"""NVIDIA Topograph: the graph engine's instances (JSON), and the model files of its simulations (YAML)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.document import Document, describe
from topologies.formats.hosts import part_named
from topologies.formats.levels import host_paths, tree_of
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.slurm_conf import Units, checked_plan
from topologies.formats.slurm_files import TopologyPlan
from topologies.formats.slurm_tree import fabric_of_plan, plan_losses
from topologies.formats.source import Source, only_one
from topologies.hostlist import compress_hosts, expand_hosts

__all__ = ["TopographFormat"]

_DOMAIN_LABELS = (
    "network.topology.nvidia.com/accelerator",
    "accelerated.topology.nvidia.com/level-0",
    "nvidia.com/gpu.clique",
)
_TYPE_LABELS = ("nvidia.com/gpu.product",)
_MODEL = re.compile(r"^(switches|nodes|capacity_blocks|blocks)\s*:", re.MULTILINE)
_NVL_TRAYS = {18: 4, 9: 4, 36: 2}
"""Accelerators a host by the hosts of a domain: NVL72 and NVL36 of trays of four, NVL72 of hosts of two.
Source: part gb200-tray of the catalogue; Topograph's own model nvl72.yaml has 18 nodes a domain."""
Path = tuple[str | int, ...]


class TopographFormat(BaseFormat):
    """Registers ``topograph``."""

    name = "topograph"
    summary = "NVIDIA Topograph's graph JSON, or (--topology model) its model YAML"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for instances with network layers, or for a model's switches and blocks."""
        if source.is_json:
            is_graph = '"instances"' in source.head and ('"network_layers"' in source.head or '"id"' in source.head)
            return 85 if is_graph and '"edges"' not in source.head else 0
        keys = set(_MODEL.findall(source.head))
        return 70 if "switches" in keys and len(keys) > 1 else 60 if keys & {"capacity_blocks", "blocks"} else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of one file; see `FabricFormat.read`."""
        source = only_one(sources, "two topologies")
        root = source.document.root
        reader = _Reader(source)
        if isinstance(root, dict) and "instances" in root:
            reader.read_instances(root["instances"])
        else:
            reader.read_model(root)
        return reader.build(options)

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return the graph engine's JSON; `topology` ``model`` gives a model file."""
        if topology not in ("", "graph", "model"):
            raise InputError(what="no such form", where="--topology", found=repr(topology), allowed="graph, model")
        plan = tree_of(fabric)
        paths = host_paths(plan)
        spans = fabric.num_domains < fabric.num_hosts
        losses = [text for text in plan_losses(fabric, plan) if not text.startswith("accelerators")]
        losses.insert(0, "number of accelerators, NICs and rails of hosts")
        if topology == "model":
            return Exported(_model_text(fabric, plan.leaves, plan.above, spans), tuple(losses))
        instances = []
        for i, host in enumerate(fabric.host_names):
            entry: dict[str, Any] = {"id": host}
            if fabric.host_part[i] >= 0:
                entry["type"] = fabric.parts[fabric.host_part[i]].id.upper()
            entry["network_layers"] = paths[host]
            if spans:
                entry["attributes"] = {"nvlink": f"nvl-{int(fabric.host_domain[i]) + 1}"}
            instances.append(entry)
        instances.sort(key=lambda entry: entry["id"])
        return Exported(json.dumps({"instances": instances}, indent=2, ensure_ascii=False) + "\n", tuple(losses))


def _model_text(fabric: Fabric, leaves: Any, above: Any, spans: bool) -> str:
    lines = ["# Written by scaleplan.", "switches:"]
    for name, children in above.items():
        lines.append(f"  {json.dumps(name)}: {{switches: [{', '.join(json.dumps(c) for c in children)}]}}")
    for name, hosts in leaves.items():
        lines.append(f"  {json.dumps(name)}: {{nodes: [{json.dumps(compress_hosts(hosts))}]}}")
    lines.append("nodes:")
    for i, host in enumerate(fabric.host_names):
        kind = f"type: {json.dumps(fabric.parts[fabric.host_part[i]].id.upper())}" if fabric.host_part[i] >= 0 else ""
        domain = f"attributes: {{nvlink: nvl-{int(fabric.host_domain[i]) + 1}}}" if spans else ""
        lines.append(f"  {json.dumps(host)}: {{{', '.join(filter(None, (kind, domain)))}}}")
    return "\n".join(lines) + "\n"


class _Reader:
    """Collects switches and hosts of either form."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.document: Document = source.document
        self.children: dict[str, dict[str, None]] = {}
        self.hosts: dict[str, dict[str, None]] = {}
        self.where: dict[str, Path] = {}
        self.domain: dict[str, str] = {}
        self.types: set[str] = set()
        self.seen: dict[str, Path] = {}
        self.parent: dict[str, str] = {}
        self.left_out: list[str] = []

    def error(self, path: Path, *, what: str, found: object = "", allowed: object = "", fix: object = "") -> InputError:
        """Return an error at a key."""
        return self.document.error(path, what=what, found=found, allowed=allowed, fix=fix)

    # ---- the graph engine's instances ----

    def read_instances(self, entries: object) -> None:
        """Take a list of instances with their switches from the leaf up."""
        if not isinstance(entries, list) or not entries:
            raise self.error(("instances",), what="no list of instances", found=describe(entries))
        for i, entry in enumerate(entries):
            path: Path = ("instances", i)
            if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not entry["id"]:
                raise self.error(path, what="not an instance", found=describe(entry), allowed="id and network_layers")
            host = entry["id"]
            self._host(host, path)
            layers = entry.get("network_layers") or []
            if not isinstance(layers, list) or not all(isinstance(name, str) and name for name in layers):
                raise self.error((*path, "network_layers"), what="not names of switches", found=describe(layers))
            self._facts(host, entry, path)
            self._climb(host, layers, path)

    def _climb(self, host: str, layers: Sequence[str], path: Path) -> None:
        if len(set(layers)) != len(layers):
            raise self.error(path, what="a switch stands above itself", found=" ".join(layers))
        for name in layers:
            self.where.setdefault(name, path)
        if layers:
            self.hosts.setdefault(layers[0], {})[host] = None
        for child, parent in pairwise(layers):
            self._under(child, parent, path)

    def _under(self, child: str, parent: str, path: Path) -> None:
        known = self.parent.setdefault(child, parent)
        if known != parent:
            raise self.error(path, what=f"switch {child} is under {known} and under {parent}", fix="take one out")
        self.children.setdefault(parent, {})[child] = None

    def _host(self, host: str, path: Path) -> None:
        first = self.seen.setdefault(host, path)
        if first is not path:
            raise self.error(path, what=f"two of one name: {host}", found=f"also on line {self.document.line(first)}")

    def _facts(self, host: str, entry: dict[str, Any], path: Path) -> None:
        """Take the domain and the type of a host."""
        attributes, labels = entry.get("attributes") or {}, entry.get("labels") or {}
        if not isinstance(attributes, dict) or not isinstance(labels, dict):
            raise self.error(path, what="attributes and labels are mappings", found=describe(entry))
        domain = attributes.get("nvlink") or next((labels[key] for key in _DOMAIN_LABELS if labels.get(key)), "")
        kind = entry.get("type") or next((labels[key] for key in _TYPE_LABELS if labels.get(key)), "")
        if domain:
            self.domain.setdefault(host, str(domain))
        if kind:
            self.types.add(str(kind))

    # ---- models ----

    def read_model(self, root: object) -> None:
        """Take a model: switches and blocks as mappings or, in older files, as lists of names."""
        if not isinstance(root, dict):
            raise self.error((), what="not a model", found=describe(root), allowed="switches, nodes, capacity_blocks")
        nodes = dict(self._entries(root, "nodes"))
        blocks = dict(self._entries(root, "capacity_blocks"))
        for host, (entry, path) in nodes.items():
            self._host(host, path)
            self._facts(host, entry, path)
        on_block: dict[str, list[str]] = {}
        for name, (entry, path) in blocks.items():
            members = self._names(entry.get("nodes"), (*path, "nodes"))
            on_block[name] = members
            facts = {**entry, "attributes": {"nvlink": entry.get("nvlink"), **(entry.get("attributes") or {})}}
            for host in members:
                if host not in nodes:
                    if "nodes" in root:
                        raise self.error(path, what=f"node {host} is not under nodes", fix="add it")
                    self._host(host, path)
                self._facts(host, facts, path)
        for i, block in enumerate(root.get("blocks") or []):
            path = ("blocks", i)
            if not isinstance(block, dict) or not isinstance(block.get("switch"), str):
                raise self.error(path, what="not a block", found=describe(block), allowed="switch, nodes, labels")
            for host in self._names(block.get("nodes"), (*path, "nodes")):
                self._host(host, path)
                self._facts(host, block, path)
                self.hosts.setdefault(block["switch"], {})[host] = None
            self.where.setdefault(block["switch"], path)
        for name, (entry, path) in self._entries(root, "switches"):
            self.where[name] = path
            for child in self._names(entry.get("switches"), (*path, "switches")):
                self._under(child, name, path)
            members = self._names(entry.get("nodes"), (*path, "nodes"))
            for block_name in self._names(entry.get("capacity_blocks"), (*path, "capacity_blocks")):
                if block_name not in on_block:
                    raise self.error(path, what=f"capacity block {block_name} is not defined", fix="add it")
                members += on_block[block_name]
            for host in members:
                if host not in self.seen:
                    raise self.error(path, what=f"node {host} is not defined", fix="add it under nodes")
                self.hosts.setdefault(name, {})[host] = None

    def _entries(self, root: dict[str, Any], key: str) -> Iterator[tuple[str, tuple[dict[str, Any], Path]]]:
        found = root.get(key)
        pairs: list[tuple[object, object, Path]] = []
        if isinstance(found, dict):
            pairs = [(name, entry if entry is not None else {}, (key, name)) for name, entry in found.items()]
        elif isinstance(found, list):
            pairs = [(e.get("name") if isinstance(e, dict) else None, e, (key, i)) for i, e in enumerate(found)]
        elif found is not None:
            raise self.error((key,), what=f"{key} is neither a mapping nor a list", found=describe(found))
        for name, entry, path in pairs:
            if not isinstance(name, str) or not name or not isinstance(entry, dict):
                raise self.error(path, what=f"not an entry of {key}", found=describe(entry))
            yield name, (entry, path)

    def _names(self, value: object, path: Path) -> list[str]:
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self.error(path, what="not a list of names", found=describe(value))
        where = self.document.where(path)
        return [name for text in value for name in expand_hosts(text, where=where)]

    # ---- build ----

    def _plan(self, groups: dict[str, tuple[tuple[str, ...], tuple[str, ...]]], *, has_lines: bool) -> TopologyPlan:
        """Return the tree of switches with their hosts and children, checked."""
        units = Units()
        for name, (hosts, children) in groups.items():
            line = self.document.line(self.where.get(name, ())) if has_lines else 1
            units.add(self.source, line, "tree", name, hosts, children)
        return checked_plan(units, self.source)

    def build(self, options: ReadOptions) -> Imported:
        """Return the fabric of what was collected."""
        placed = {host for members in self.hosts.values() for host in members}
        loose = [host for host in self.seen if host not in placed]
        for host in loose:
            name = self.domain.get(host, "flat")
            self.hosts.setdefault(f"{name}-leaf" if name in self.children else name, {})[host] = None
        empty = {name for name in {**self.where, **self.parent} if name not in self.hosts and name not in self.children}
        while True:  # switches that hold nothing, and those that hold only such
            children = {name: tuple(c for c in inside if c not in empty) for name, inside in self.children.items()}
            emptied = {name for name, inside in children.items() if not inside and name not in self.hosts} - empty
            if not emptied:
                break
            empty |= emptied
        if empty:
            self.left_out.append(f"{len(empty)} switches without nodes, first {min(empty)}")
        groups: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        for name in {**self.where, **self.hosts, **self.children, **self.parent}:
            if name not in empty:
                groups[name] = tuple(self.hosts.get(name, ())), children.get(name, ())
        try:
            plan = self._plan(groups, has_lines=False)
        except InputError:  # again with the lines, which take a while to find
            plan = self._plan(groups, has_lines=True)
        extra = []
        if loose:
            extra.append(f"{len(loose)} nodes without a switch share one for each domain")
        told = options
        if options.accelerator is None:
            told = replace(told, accelerator=part_named(self.types, options))
        sizes: dict[str, int] = {}
        for domain in self.domain.values():
            sizes[domain] = sizes.get(domain, 0) + 1
        most = max(sizes.values(), default=0)
        if options.accelerators is None and not options.gpus_of and most in _NVL_TRAYS:
            told = replace(told, accelerators=_NVL_TRAYS[most])
            extra.append(f"{_NVL_TRAYS[most]} accelerators a host, as domains have {most} hosts")
        return fabric_of_plan(
            plan, told, name=self.source.stem, format="topograph", source=self.source.name,
            left_out=self.left_out, domains=self.domain if most > 1 else None, guesses=extra,
        )  # fmt: skip
