"""``scontrol show nodes``, of several lines or one line a node: the accelerators of each host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

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
        """Look for a line that begins a node."""
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
                found = list(_GPU.finditer(gres.group(1))) if gres else []
                gpus[name] = sum(int(m["count"]) for m in found)
                kinds = {m["type"] for m in found if m["type"]}
                if len(kinds) == 1:
                    types[name] = kinds.pop()
        part = options.accelerator or part_named(set(types.values()), options)
        return replace(options, gpus_of=gpus, gpu_type_of=types, accelerator=part)
