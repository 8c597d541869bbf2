"""OpenSM's linear forwarding tables: the routes that packets take.

As ``dump_lfts`` and ``dump_fts`` print them, and as OpenSM itself dumps them (``opensm-lfts.dump``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.formats.registry import BaseFormat, Imported
from topologies.formats.source import Source, only_one
from topologies.routing.static import NO_ROUTE, NextHops

__all__ = ["OpensmLftsFormat"]

_SWITCH = re.compile(
    r"Unicast lids \[(?P<is_hex>0x)?.*\] of switch .*\bguid 0x(?P<guid>[0-9a-fA-F]{1,16})(?: \((?P<name>.*)\))?:"
)
_ROW = re.compile(
    r"0x([0-9a-fA-F]{1,4})\s*:?\s+(\d{1,3})\s*[:#]\s*"
    r"(?:\(?(Channel Adapter|Switch|Router)?.*portguid 0x([0-9a-fA-F]{1,16}))?"
)
_END = re.compile(r"(\d+) (?:valid )?(?:lids|unicast lids) dumped")
_HEADINGS = ("Lid", "Port", "***")
_MAX_PORT = 255
_MAX_CELLS = 400_000_000
"""Most switches × destinations: 1.6 GB of table. 2,000 switches and 80,000 adapters have 160 million."""


@dataclass
class _Table:
    """The table of one switch: LIDs and ports in the order of its lines."""

    guid: str
    description: str
    line: int
    lid: list[int] = field(default_factory=list)
    port: list[int] = field(default_factory=list)
    row_line: list[int] = field(default_factory=list)
    is_whole: bool = False
    is_counted: bool = True  # OpenSM's own dump ends with the highest LID instead of the number of lines


class OpensmLftsFormat(BaseFormat):
    """Registers ``opensm-lfts``."""

    name = "opensm-lfts"
    summary = "OpenSM's forwarding tables (dump_lfts, dump_fts): static routes, beside ibnetdiscover"
    reads = True
    companion = "routes"

    def sniff(self, source: Source) -> int:
        """Look for the heading of a table."""
        return 95 if re.search(r"^Unicast lids \[", source.head, re.MULTILINE) else 0

    def add_to(self, imported: Imported, sources: Sequence[Source]) -> Imported:
        """Return what was imported with the routes of the tables.

        Raises
        ------
        InputError
            If the tables are cut short, or of another network; names the line.
        """
        source = only_one(sources, "two files of tables")
        if imported.ports is None or not imported.addresses:
            raise source.error(
                None,
                what="forwarding tables name ports and GUIDs, which the file of the network does not have",
                found=f"format {imported.format}",
                fix="give the output of ibnetdiscover beside the tables",
            )
        guid_of_lid: dict[int, str] = {}
        tables = list(_tables(source, guid_of_lid))
        routes, notes = _Weaver(imported, source, guid_of_lid).weave(tables)
        return replace(imported, routes=routes, left_out=(*imported.left_out, *notes))


def _tables(source: Source, guid_of_lid: dict[int, str]) -> Iterator[_Table]:
    """Yield the table of each switch; fill in the GUID of each LID that is an adapter."""
    table: _Table | None = None
    is_unicast = True
    number, line = 0, ""
    for number, line in source.lines():
        if line.startswith("0x"):
            if not is_unicast:
                continue
            row = _ROW.match(line)
            if row is None or table is None or table.is_whole:
                raise _unread(source, number, line)
            lid, port, kind, guid = row.groups()
            table.lid.append(int(lid, 16))
            table.port.append(int(port))
            table.row_line.append(number)
            if kind == "Channel Adapter" and guid:
                known = guid_of_lid.setdefault(int(lid, 16), f"guid:0x{int(guid, 16):016x}")
                if int(known[5:], 16) != int(guid, 16):
                    raise source.error(
                        number, what="a LID stands for two adapters: the file is of two runs", found=line.strip()[:80]
                    )
            continue
        begin = _SWITCH.match(line)
        if begin is not None:
            if table is not None and not table.is_whole:
                raise _cut(source, table)
            table = _Table(
                f"guid:0x{int(begin['guid'], 16):016x}",
                (begin["name"] or "").strip("'"),
                number,
                is_counted=begin["is_hex"] is not None,
            )
            is_unicast = True
            continue
        end = _END.match(line)
        if end is not None and is_unicast:
            num = 0 if table is None else len(table.lid)
            if table is None or num > int(end[1]) or (table.is_counted and num != int(end[1])):
                found = f"{end[1]} by the last line, {num} listed"
                raise source.error(number, what="lines of a table are missing", found=found)
            table.is_whole = True
            yield table
        elif line.startswith("Multicast mlids"):
            is_unicast = False
        elif is_unicast and line.strip() and not line.lstrip().startswith(_HEADINGS):
            raise _unread(source, number, line)
    if table is None:
        raise source.error(1, what="no table of a switch", allowed="Unicast lids [0x0-0x16] of switch …")
    if not table.is_whole:
        raise _cut(source, table)


def _cut(source: Source, table: _Table) -> InputError:
    return source.error(
        table.row_line[-1] if table.row_line else table.line,
        what="the table of a switch is cut short",
        found=f"{table.guid[5:]} ({table.description})",
        fix="run dump_lfts again and give its whole output",
    )


def _unread(source: Source, number: int, line: str) -> InputError:
    return source.error(
        number,
        what="not a line of dump_lfts",
        found=repr(line[:80]),
        allowed="as 0x0001 005 : (Channel Adapter portguid 0x0000000000100001: 'node-000')",
    )


class _Weaver:
    """Puts tables of LIDs and ports onto the nodes and links of a fabric."""

    def __init__(self, imported: Imported, source: Source, guid_of_lid: dict[int, str]) -> None:
        self.fabric: Fabric = imported.fabric
        self.imported = imported
        self.source = source
        self.first = self.fabric.num_accelerators + self.fabric.num_nics
        self.num_switches = self.fabric.num_nodes - self.first
        self.names = {name: i for i, name in enumerate(self.fabric.node_names)}
        self.link_at = self._links_by_port()
        nodes = {lid: self.names.get(imported.addresses.get(guid, ""), -1) for lid, guid in guid_of_lid.items()}
        self.num_unknown = sum(node < 0 for node in nodes.values())
        first_lid: dict[int, int] = {}  # of several LIDs of an adapter, the first
        for lid in sorted(nodes):
            if nodes[lid] >= 0:
                first_lid.setdefault(nodes[lid], lid)
        self.nic_of_lid = {lid: node for node, lid in first_lid.items()}

    def _links_by_port(self) -> npt.NDArray[np.int32]:
        """Return the link that leaves each port of each switch, ``(num_switches, 256)``; `NO_ROUTE` for none."""
        fabric, ports = self.fabric, self.imported.ports
        assert ports is not None
        link_at = np.full((self.num_switches, _MAX_PORT + 1), NO_ROUTE, np.int32)
        for cable in range(fabric.num_links // 2):
            if fabric.link_kind[2 * cable] != LinkKind.SCALE_OUT:
                continue
            for link, label in ((2 * cable, ports.source[cable]), (2 * cable + 1, ports.target[cable])):
                node = int(fabric.link_source[link])
                if node >= self.first and label.isdecimal() and int(label) <= _MAX_PORT:
                    link_at[node - self.first, int(label)] = link
        return link_at

    def weave(self, tables: Sequence[_Table]) -> tuple[NextHops, list[str]]:
        """Return the routes, and what to know about them."""
        destination = np.array(sorted(self.nic_of_lid.values()), np.int64)
        if not destination.size:
            raise self.source.error(
                tables[0].line, what="no adapter of the tables is in the network", fix="give files of one network"
            )
        if self.num_switches * destination.size > _MAX_CELLS:
            raise self.source.error(
                None,
                what="the tables are too large",
                found=f"{self.num_switches} switches, {destination.size} adapters",
                allowed=f"at most {_MAX_CELLS} entries",
            )
        column_of_lid = np.full(65_536, -1, np.int64)
        for lid, nic in self.nic_of_lid.items():
            column_of_lid[lid] = np.searchsorted(destination, nic)
        next_link = np.full((self.num_switches, destination.size), NO_ROUTE, np.int32)
        seen: dict[int, int] = {}
        for table in tables:
            node = self.names.get(self.imported.addresses.get(table.guid, ""), -1)
            if node < self.first:
                raise self.source.error(
                    table.line,
                    what="the network has no such switch: the files are of two networks",
                    found=f"{table.guid[5:]} ({table.description})",
                )
            if node in seen:
                raise self.source.error(table.line, what="two tables of one switch", found=f"also on line {seen[node]}")
            seen[node] = table.line
            self._fill(next_link, node - self.first, table, column_of_lid)
        missing = [n for n in range(self.first, self.fabric.num_nodes) if n not in seen and self._is_switch(n)]
        if missing:
            raise self.source.error(
                tables[-1].line,
                what="switches of the network have no table: the file is cut short",
                found=f"{len(missing)} switches, first {self.fabric.node_names[missing[0]]}",
                fix="run dump_lfts again and give its whole output",
            )
        return NextHops(destination, next_link), self._notes(destination, next_link)

    def _is_switch(self, node: int) -> bool:
        return bool(self.fabric.node_kind[node] == NodeKind.SWITCH)

    def _fill(
        self, next_link: npt.NDArray[np.int32], switch: int, table: _Table, column_of_lid: npt.NDArray[np.int64]
    ) -> None:
        """Write the row of one switch."""
        lids, ports = np.array(table.lid, np.int64), np.array(table.port, np.int64)
        column = column_of_lid[lids]
        known = column >= 0
        bad = known & (ports > _MAX_PORT)
        links = self.link_at[switch, np.minimum(ports, _MAX_PORT)]
        bad |= known & (links == NO_ROUTE)
        if bad.any():
            at = int(np.argmax(bad))
            raise self.source.error(
                table.row_line[at],
                what="a table leads to a port without a cable: the files are of two runs",
                found=f"port {table.port[at]} of {self.fabric.node_names[self.first + switch]}",
            )
        next_link[switch, column[known]] = links[known]

    def _notes(self, destination: npt.NDArray[np.int64], next_link: npt.NDArray[np.int32]) -> list[str]:
        """Return what the tables leave open: adapters without routes, routes that do not arrive."""
        notes = []
        if self.num_unknown:
            notes.append(f"routes to {self.num_unknown} adapters that are not in the fabric")
        without = self.fabric.num_nics - destination.size
        if without:
            notes.append(f"{without} NICs to which no table leads")
        lost = _lost(self.fabric, self.first, destination, next_link)
        if len(lost):
            switch, column = lost[0]
            names = self.fabric.node_names
            notes.append(
                f"{len(lost)} routes that do not arrive, first {names[self.first + int(switch)]} to "
                f"{names[int(destination[column])]}"
            )
        return notes


def _lost(
    fabric: Fabric, first: int, destination: npt.NDArray[np.int64], next_link: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Return ``(n, 2)`` switch and column of the routes that end or circle before they arrive."""
    num_switches = fabric.num_nodes - first
    is_used = fabric.node_kind[first:] == NodeKind.SWITCH
    switch, column = np.nonzero(is_used[:, None] & np.ones(len(destination), bool))
    start, at = switch, switch.astype(np.int64)
    ways = np.arange(len(switch))
    for _ in range(num_switches + 1):
        link = next_link[at[ways], column[ways]]
        ways, link = ways[link != NO_ROUTE], link[link != NO_ROUTE]
        node = fabric.link_target[link].astype(np.int64)
        arrived = node == destination[column[ways]]
        at[ways[arrived]] = -1
        on = ~arrived & (node >= first)
        ways, node = ways[on], node[on]
        if not len(ways):
            break
        at[ways] = node - first
    left = at >= 0
    return np.stack([start[left], column[left]], axis=1)
