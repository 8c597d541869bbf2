"""Slurm's ``topology.yaml`` (from 25.05): several topologies in one file, each a tree, blocks or flat."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.files.document import Document, describe
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.slurm_conf import Units, checked_plan, plan_to_write
from topologies.formats.slurm_files import TopologyPlan, yaml_text
from topologies.formats.slurm_tree import fabric_of_plan, plan_losses
from topologies.formats.source import Source, only_one
from topologies.hostlist import expand_hosts

__all__ = ["SlurmYamlFormat"]

_FIRST = re.compile(r"^\s*-\s+topology:", re.MULTILINE)
_KINDS = ("tree", "block", "flat")
_OTHER_KINDS = ("ring", "torus3d")
Path = tuple[str | int, ...]


class SlurmYamlFormat(BaseFormat):
    """Registers ``slurm-yaml``."""

    name = "slurm-yaml"
    summary = "Slurm's topology.yaml (from 25.05), and the output of scontrol show topoconf"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for a list of topologies."""
        return 95 if _FIRST.search(source.head) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of one topology of one file; see `FabricFormat.read`."""
        source = only_one(sources, "two topology files")
        document = source.document
        index = _chosen(document, options.topology)
        plan = _plan(source, document, index, options)
        others = [str(entry["topology"]) for i, entry in enumerate(document.root) if i != index]
        left_out = [f"topology {name}; choose it by --topology" for name in others]
        if len(plan.block_sizes) > 1:
            left_out.append(f"block sizes {', '.join(map(str, plan.block_sizes))}: units of scheduling, not links")
        return fabric_of_plan(
            plan,
            options,
            name=str(document.root[index]["topology"]),
            format=self.name,
            source=source.name,
            left_out=left_out,
        )

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return ``topology.yaml`` with one topology; `topology` is ``tree`` (if left out) or ``block``."""
        plan = plan_to_write(fabric, topology)
        return Exported(yaml_text(plan), tuple(plan_losses(fabric, plan)))


def _chosen(document: Document, wanted: str) -> int:
    """Return the position of the topology asked for, else of the cluster's default, else of the first."""
    entries = document.root
    if not isinstance(entries, list) or not entries:
        raise document.error((), what="not a list of topologies", found=describe(entries), allowed="- topology: NAME")
    names = []
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("topology"), str):
            raise document.error(
                (i,), what="not a topology", found=describe(entry), allowed="topology: NAME and a kind"
            )
        names.append(entry["topology"])
    if wanted:
        if wanted not in names:
            raise InputError(
                what="no such topology in the file", where=document.name, found=repr(wanted), allowed=", ".join(names)
            )
        return names.index(wanted)
    return next((i for i, entry in enumerate(entries) if entry.get("cluster_default") is True), 0)


def _plan(source: Source, document: Document, index: int, options: ReadOptions) -> TopologyPlan:
    entry: dict[str, Any] = document.root[index]
    given = [kind for kind in (*_KINDS, *_OTHER_KINDS) if entry.get(kind)]
    if entry.get("flat") is True or given == ["flat"] or not given:
        return _flat(source, options)
    if len(given) > 1 or given[0] in _OTHER_KINDS:
        raise document.error(
            (index,), what="a topology of this kind is not read", found=", ".join(given), allowed="tree, block or flat"
        )
    kind = given[0]
    words = {"tree": ("switches", "switch", "children"), "block": ("blocks", "block", "")}[kind]
    path: Path = (index, kind, words[0])
    body = entry[kind]
    rows = body.get(words[0]) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise document.error((index, kind), what=f"{kind} has no list {words[0]}", found=describe(rows))
    units = Units()
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get(words[1]), str):
            raise document.error((*path, i), what=f"not a {words[1]}", found=describe(row))
        known = {words[1], words[2], "nodes", "name"} - {""}
        extra = next((key for key in row if key not in known), None)
        if extra is not None:
            raise document.error(
                (*path, i, extra), what="unknown key", found=extra, allowed=", ".join(sorted(known - {"name"}))
            )
        where = document.where((*path, i))
        units.add(
            source,
            document.line((*path, i)),
            kind,
            row[words[1]],
            expand_hosts(str(row.get("nodes") or ""), where=where),
            expand_hosts(str(row.get(words[2]) or ""), where=where) if words[2] else (),
        )
    sizes = body.get("block_sizes") or [] if kind == "block" else []
    if not isinstance(sizes, list) or not all(type(size) is int and size > 0 for size in sizes):
        raise document.error((index, kind, "block_sizes"), what="not block sizes", found=describe(sizes))
    units.block_sizes = tuple(sizes)
    return checked_plan(units, source)


def _flat(source: Source, options: ReadOptions) -> TopologyPlan:
    """Return all hosts on one switch; a flat topology names none, so they come from the nodes' file."""
    hosts = tuple(options.gpus_of)
    if not hosts:
        raise source.error(
            None,
            what="a flat topology names no nodes",
            fix="give the output of `scontrol show nodes` as a second file",
        )
    return TopologyPlan("tree", {"flat": hosts}, {})
