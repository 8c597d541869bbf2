"""Slurm's ``topology.conf`` (tree, block) and ``scontrol show topology``, which has the same words a line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.slurm_files import TopologyPlan, blocks_of_fabric, conf_text, tree_of_fabric
from topologies.formats.slurm_tree import fabric_of_plan, own_tree, plan_losses
from topologies.formats.source import Source, only_one
from topologies.hostlist import expand_hosts

__all__ = ["SlurmConfFormat", "Units", "checked_plan", "plan_to_write", "read_units"]

_KEYS = {
    "switchname",
    "switches",
    "nodes",
    "linkspeed",
    "level",
    "blockname",
    "blockindex",
    "blocksize",
    "blocksizes",
    "aggregatedblock",
}
_FIRST = re.compile(r"^\s*(SwitchName|BlockName)=\S+", re.MULTILINE | re.IGNORECASE)


class SlurmConfFormat(BaseFormat):
    """Registers ``slurm-conf``."""

    name = "slurm-conf"
    summary = "Slurm's topology.conf (tree or block), and the output of scontrol show topology"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for a line that begins a switch or a block."""
        return 95 if _FIRST.search(source.head) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of one file; see `FabricFormat.read`."""
        source = only_one(sources, "two topologies")
        units = read_units(source)
        plan = checked_plan(units, source)
        left_out = ["LinkSpeed, which Slurm does not use either"] if units.has_link_speed else []
        if len(plan.block_sizes) > 1:
            left_out.append(f"block sizes {', '.join(map(str, plan.block_sizes))}: units of scheduling, not links")
        return fabric_of_plan(plan, options, name=source.stem, format=self.name, source=source.name, left_out=left_out)

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return ``topology.conf``; `topology` is ``tree`` (if left out) or ``block``."""
        plan = plan_to_write(fabric, topology)
        return Exported(conf_text(plan), tuple(plan_losses(fabric, plan)))


def plan_to_write(fabric: Fabric, topology: str) -> TopologyPlan:
    """Return the plan of a fabric as ``tree`` or ``block``.

    Raises
    ------
    InputError
        If `topology` is something else.
    """
    if topology not in ("", "tree", "block"):
        raise InputError(what="no such topology", where="--topology", found=repr(topology), allowed="tree, block")
    if topology == "block":
        return blocks_of_fabric(fabric)
    return own_tree(fabric) or tree_of_fabric(fabric)


@dataclass
class Units:
    """Switches or blocks as lines name them, with the line of each."""

    leaves: dict[str, tuple[str, ...]] = field(default_factory=dict)
    above: dict[str, tuple[str, ...]] = field(default_factory=dict)
    line: dict[str, int] = field(default_factory=dict)
    block_sizes: tuple[int, ...] = ()
    kind: str = ""
    has_link_speed: bool = False

    def add(
        self, source: Source, line: int, kind: str, name: str, hosts: tuple[str, ...], children: tuple[str, ...]
    ) -> None:
        """Add a switch or a block.

        Raises
        ------
        InputError
            If the name stands twice, it is empty, or switches and blocks are mixed.
        """
        if self.kind not in ("", kind):
            raise source.error(
                line,
                what="switches and blocks in one topology",
                found=name,
                allowed="one or the other",
                fix="give one topology",
            )
        self.kind = kind
        if name in self.line:
            raise source.error(
                line, what=f"two of one name: {name}", found=f"also on line {self.line[name]}", fix="rename one of them"
            )
        if not hosts and not children:
            raise source.error(line, what=f"{name} has neither nodes nor switches", fix="take it out, or complete it")
        self.line[name] = line
        if children:
            self.above[name] = children
        if hosts:
            self.leaves[name] = hosts


def read_units(source: Source) -> Units:
    """Return the switches or blocks of a file.

    Raises
    ------
    InputError
        Naming the line.
    """
    units = Units()
    sizes: list[int] = []
    for number, text in _whole_lines(source):
        words = _words(source, number, text)
        if not words:
            continue
        units.has_link_speed |= words.get("linkspeed", "0") not in ("0", "1")
        where = f"{source.name}:{number}"
        hosts = expand_hosts(words.get("nodes", ""), where=where)
        if "switchname" in words:
            children = expand_hosts(words.get("switches", ""), where=where)
            units.add(source, number, "tree", words["switchname"], hosts, children)
        elif "blockname" in words:
            units.add(source, number, "block", words["blockname"], hosts, ())
        elif "blocksizes" not in words and "aggregatedblock" not in words:
            raise source.error(number, what="neither a switch nor a block", found=text.strip()[:80])
        for key in ("blocksizes", "blocksize"):
            sizes += [_size(source, number, word) for word in words.get(key, "").split(",") if word]
    units.block_sizes = tuple(sorted(set(sizes)))
    return units


def _whole_lines(source: Source) -> list[tuple[int, str]]:
    """Return lines without comments, those that end in a backslash joined with the next."""
    lines: list[tuple[int, str]] = []
    begun: tuple[int, str] | None = None
    for number, text in source.lines():
        line = text.partition("#")[0].rstrip()
        first, so_far = begun or (number, "")
        if line.endswith("\\"):
            begun = (first, so_far + line[:-1] + " ")
            continue
        lines.append((first, so_far + line))
        begun = None
    return lines if begun is None else [*lines, begun]


def _words(source: Source, number: int, text: str) -> dict[str, str]:
    words: dict[str, str] = {}
    for word in text.split():
        key, equals, value = word.partition("=")
        lowered = key.lower()
        if not equals or lowered not in _KEYS or lowered in words:
            what = "a word stands twice on the line" if lowered in words else "not a word of topology.conf"
            raise source.error(
                number,
                what=what,
                found=repr(word[:80]),
                allowed="SwitchName=, Switches=, Nodes=, LinkSpeed=, BlockName=, BlockSizes=",
                fix="mend the line; the file may be cut short",
            )
        words[lowered] = value
    return words


def _size(source: Source, number: int, word: str) -> int:
    if not word.isdecimal() or len(word) > 6 or int(word) < 1:
        raise source.error(number, what="not a block size", found=repr(word[:40]), allowed="whole numbers from 1")
    return int(word)


def checked_plan(units: Units, source: Source) -> TopologyPlan:
    """Return the plan of units, after the checks that need all of them.

    Raises
    ------
    InputError
        If a host or a switch is under two, a child is not defined, or switches form a ring.
    """
    if not units.leaves:
        raise source.error(None, what="no switch or block with nodes", fix="give the whole file")
    leaves = {name: hosts for name, hosts in units.leaves.items() if not _only_repeats(name, units)}
    under: dict[str, str] = {}
    for name, members in (*leaves.items(), *units.above.items()):
        for member in members:
            if member in under:
                raise source.error(
                    units.line[name], what=f"{member} is under {under[member]} and under {name}", fix="take one out"
                )
            under[member] = name
    for name, children in units.above.items():
        for child in children:
            if child not in units.line:
                raise source.error(
                    units.line[name],
                    what=f"switch {child} is not defined",
                    found=f"under {name}",
                    fix="add it; the file may be cut short",
                )
    parent = {child: name for name, children in units.above.items() for child in children}
    _check_rings(parent, units, source)
    return TopologyPlan(units.kind, leaves, units.above, units.block_sizes)


def _only_repeats(name: str, units: Units) -> bool:
    """Tell whether a switch's nodes are just those of its children, as ``scontrol show topology`` prints them."""
    if name not in units.above:
        return False
    below: set[str] = set()
    waiting, seen = list(units.above[name]), {name}
    while waiting:
        child = waiting.pop()
        if child not in seen:
            seen.add(child)
            below.update(units.leaves.get(child, ()) if child not in units.above else ())
            waiting += units.above.get(child, ())
    return set(units.leaves[name]) <= below


def _check_rings(parent: Mapping[str, str], units: Units, source: Source) -> None:
    good: set[str] = set()
    for name in parent:
        path: dict[str, None] = {}
        at: str | None = name
        while at is not None and at not in good:
            if at in path:
                raise source.error(units.line[at], what=f"{at} is part of a ring of switches", fix="make it a tree")
            path[at] = None
            at = parent.get(at)
        good.update(path)
