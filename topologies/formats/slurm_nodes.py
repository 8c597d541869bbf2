"""``scontrol show nodes``, of several lines or one line a node, or as JSON: the accelerators of each host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from topologies.files.document import describe
from topologies.formats.hosts import part_named
from topologies.formats.registry import BaseFormat, Imported, ReadOptions
from topologies.formats.slurm_files import TopologyPlan
from topologies.formats.slurm_tree import fabric_of_plan
from topologies.formats.source import Source
from topologies.hostlist import is_host_name

__all__ = ["SlurmNodesFormat"]

_FIRST = re.compile(r"^NodeName=\S+ ", re.MULTILINE)
_NODE = re.compile(r"^NodeName=(\S+)", re.MULTILINE)
_GRES = re.compile(r"(?:^|\s)Gres=(\S+)")
_GPU = re.compile(r"(?:^|,)gpu(?::(?P<type>[A-Za-z][\w.\-]*))?:(?P<count>\d{1,4})(?=[(,]|$)", re.ASCII)


class SlurmNodesFormat(BaseFormat):
    """Registers ``slurm-nodes``."""

    name = "slurm-nodes"
    summary = "output of scontrol show nodes: tells a topology's accelerators, or is a flat network by itself"
    reads = True
    companion = "nodes"

    def sniff(self, source: Source) -> int:
        """Look for a line that begins a node, or for nodes with what Slurm calls generic resources."""
        if source.is_json:
            return 95 if '"nodes"' in source.head and '"gres"' in source.head else 0
        return 95 if _FIRST.search(source.head) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return all hosts on one switch, as Slurm sees them without a topology."""
        told = self.tell(sources, options)
        hosts = tuple(host for host, gpus in told.gpus_of.items() if gpus)
        without = len(told.gpus_of) - len(hosts)
        if not hosts:
            raise sources[0].error(
                None, what="no node has accelerators", found=f"{without} nodes", allowed="Gres=gpu:…"
            )
        left_out = [f"{without} nodes without accelerators"] if without else []
        plan = TopologyPlan("tree", {"flat": hosts}, {})
        return fabric_of_plan(
            plan, told, name=sources[0].stem, format=self.name, source=sources[0].name, left_out=left_out
        )

    def tell(self, sources: Sequence[Source], options: ReadOptions) -> ReadOptions:
        """Return the options with the accelerators of each node."""
        gpus: dict[str, int] = {}
        types: dict[str, str] = {}
        for source in sources:
            if source.is_json:
                for host, resources in _json_nodes(source):
                    _count(host, resources, gpus, types)
                continue
            starts = [match.start() for match in _NODE.finditer(source.text)]
            if not starts:
                raise source.error(
                    1, what="no line begins with NodeName=", fix="give the output of scontrol show nodes"
                )
            for begin, end in zip(starts, [*starts[1:], len(source.text)], strict=True):
                record = source.text[begin:end]
                match = _NODE.match(record)
                name = match.group(1) if match else ""
                if not is_host_name(name):
                    raise source.error(source.line_at(begin), what="not a host name", found=repr(name[:80]))
                gres = _GRES.search(record)
                if gres is None and "\n" not in record.strip() and "State=" not in record:
                    raise source.error(
                        source.line_at(begin), what="the record of a node is cut short", found=repr(record[:80])
                    )
                _count(name, gres.group(1) if gres else "", gpus, types)
        part = options.accelerator or part_named(set(types.values()), options)
        return replace(options, gpus_of=gpus, gpu_type_of=types, accelerator=part)


def _count(name: str, gres: str, gpus: dict[str, int], types: dict[str, str]) -> None:
    """Take the accelerators of one node from its generic resources, as ``gpu:h100:8(S:0-1)``."""
    found = list(_GPU.finditer(gres))
    gpus[name] = sum(int(m["count"]) for m in found)
    kinds = {m["type"] for m in found if m["type"]}
    if len(kinds) == 1:
        types[name] = kinds.pop()


def _json_nodes(source: Source) -> Iterator[tuple[str, str]]:
    """Yield name and generic resources of each node of ``scontrol show nodes --json`` or slurmrestd."""
    document = source.document
    nodes = document.root.get("nodes") if isinstance(document.root, dict) else None
    if not isinstance(nodes, list) or not nodes:
        raise document.error(("nodes",), what="no list of nodes", found=describe(nodes))
    for i, node in enumerate(nodes):
        name = node.get("name") if isinstance(node, dict) else None
        gres = node.get("gres") if isinstance(node, dict) else None
        if not isinstance(name, str) or not is_host_name(name) or not isinstance(gres, str | None):
            raise document.error(("nodes", i), what="not a node", found=describe(node), allowed="name and gres")
        yield name, gres or ""
