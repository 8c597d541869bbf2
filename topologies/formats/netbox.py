"""Cable lists as NetBox imports and exports them, the form of our own wire map (``fabric bill --wire-map``)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from topologies.bill.wire_map import WIRE_MAP_COLUMNS
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.formats.cabling import Cable, Cabling, rate_in_words
from topologies.formats.ports import CablePorts, host_of_node, numbered_ports
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.source import Source
from topologies.units import to_gbps

__all__ = ["NetboxFormat"]

_NAMES = {
    "device a": ("side_a_device", "device_a", "a_device", "a device", "side a device"),
    "port a": ("side_a_name", "termination_a", "a_terminations", "port_a", "a_port", "side a name", "a_name"),
    "kind a": ("side_a_type", "a_type", "termination_a_type"),
    "device b": ("side_b_device", "device_b", "b_device", "b device", "side b device"),
    "port b": ("side_b_name", "termination_b", "b_terminations", "port_b", "b_port", "side b name", "b_name"),
    "kind b": ("side_b_type", "b_type", "termination_b_type"),
    "status": ("status",),
    "label": ("label",),
    "description": ("description",),
    "rate": ("rate_gbps", "speed_gbps", "gbps", "bandwidth_gbps"),
}
_NEEDED = ("device a", "port a", "device b", "port b")
_INTERFACES = ("", "interface", "dcim.interface", "dcim | interface")
_GONE = ("decommissioning",)
_TIER_WORDS = {1: "leaf", 2: "spine", 3: "core"}
_JOINS = re.compile(r"(NIC to leaf|leaf to spine|spine to core|leaf to leaf|tier \d+|scale-up)\b")
MAX_NAME_CHARS = 1_000
"""Longest name of a device or port; NetBox's own limit is 64."""


class NetboxFormat(BaseFormat):
    """Registers ``netbox``."""

    name = "netbox"
    summary = "NetBox's cable CSV, and the wire map of `fabric bill`"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for the columns of both sides in the first line."""
        line = source.head.partition("\n")[0]
        return 90 if line.count(",") >= 3 and _columns(line.split(","))[1] == [] else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of one file; see `FabricFormat.read`."""
        if len(sources) > 1:
            raise sources[1].error(None, what="two cable lists", found=sources[0].name, fix="put them into one")
        source = sources[0]
        cabling = Cabling(source.stem, self.name, source)
        at: dict[tuple[str, str], int] = {}
        others, gone, scale_up = 0, 0, 0
        for line, row in _rows(source):
            if row["status"].lower() in _GONE:
                gone += 1
                continue
            if row["kind a"].lower() not in _INTERFACES or row["kind b"].lower() not in _INTERFACES:
                others += 1
                continue
            joins = _JOINS.match(row["description"])
            if joins and joins[1] == "scale-up":
                scale_up += 1
                continue
            ends = [(row["device a"], row["port a"]), (row["device b"], row["port b"])]
            for device, port in ends:
                if not device or not port:
                    raise source.error(line, what="a cable without device or port", found=f"{device!r} {port!r}")
                if max(len(device), len(port)) > MAX_NAME_CHARS:
                    raise source.error(
                        line, what="a name is too long", found=f"{max(len(device), len(port))} characters"
                    )
                if (device, port) in at:
                    raise source.error(
                        line, what="a port has two cables", found=f"{port} of {device}, also on line {at[device, port]}"
                    )
                at[device, port] = line
            if joins:
                cabling.stated.setdefault(ends[0][0], joins[1] == "NIC to leaf")
                cabling.stated.setdefault(ends[1][0], False)
            cabling.cables.append(Cable(*ends[0], *ends[1], _rate(source, line, row), line))
        for count, what in ((others, "between other ports than interfaces"), (gone, "that are taken out")):
            if count:
                cabling.left_out.append(f"{count} cables {what}")
        if scale_up:
            cabling.left_out.append(f"{scale_up} scale-up cables; the inside of a domain is filled in")
        return cabling.build(options)

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return a row for each scale-out cable, the lower end as side a."""
        labels = ports if ports and ports.are_given else numbered_ports(fabric)
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(WIRE_MAP_COLUMNS)
        links = [link for link in range(0, fabric.num_links, 2) if fabric.link_kind[link] == LinkKind.SCALE_OUT]
        if not links:
            raise InputError(what="the fabric has no cable between hosts and switches", where=fabric.name)
        digits = len(str(len(links)))
        cables_of: dict[int, int] = {}
        for link in links:
            for node in (int(fabric.link_source[link]), int(fabric.link_target[link])):
                cables_of[node] = cables_of.get(node, 0) + 1
        uneven = 0
        for number, first in enumerate(links, start=1):
            low = first if _tier(fabric, first) <= _tier(fabric, first ^ 1) else first ^ 1
            nodes = int(fabric.link_source[low]), int(fabric.link_target[low])
            rate = to_gbps(float(fabric.link_capacity_bytes_per_s[low]))
            uneven += fabric.link_capacity_bytes_per_s[low] != fabric.link_capacity_bytes_per_s[low ^ 1]
            row: list[str] = []
            for node, label in zip(nodes, labels.at(low), strict=True):
                host = host_of_node(fabric, node)
                if host < 0:
                    row += [fabric.node_names[node], "dcim.interface", label or "1"]
                    continue
                name = fabric.node_names[node].removeprefix(f"{fabric.host_names[host]}/")
                port = f"{name}/p{label}" if cables_of[node] > 1 else name
                row += [fabric.host_names[host], "dcim.interface", port]
            writer.writerow(
                [*row, "", "planned", f"C{number:0{digits}d}", "", "", f"{_words(fabric, low)}, {rate:g} Gb/s"]
            )
        losses = [
            "accelerators, scale-up links and parts",
            "latencies",
            "rails and racks",
            "kinds and lengths of cables",
        ]
        if uneven:
            losses.append(f"the slower direction of {uneven} cables")
        return Exported(stream.getvalue(), tuple(losses))


def _tier(fabric: Fabric, link: int) -> int:
    return int(fabric.node_tier[fabric.link_source[link]])


def _words(fabric: Fabric, link: int) -> str:
    """Return what a cable joins, as the bill says it."""
    low, high = _tier(fabric, link), _tier(fabric, link ^ 1)
    if low == 0:
        return "NIC to leaf"
    return f"{_TIER_WORDS.get(low, f'tier {low}')} to {_TIER_WORDS.get(high, f'tier {high}')}"


def _columns(header: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return the position of each known column, and the needed ones that are missing."""
    words = [re.sub(r"[\s_]+", "_", cell.strip().strip('"').lower()) for cell in header]
    found = {}
    for key, names in _NAMES.items():
        position = next((words.index(n.replace(" ", "_")) for n in names if n.replace(" ", "_") in words), None)
        if position is not None:
            found[key] = position
    return found, [key for key in _NEEDED if key not in found]


def _rows(source: Source) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line and the known cells of each row."""
    reader = csv.reader(io.StringIO(source.text), strict=True)
    try:
        header = next(reader)
        column, missing = _columns(header)
        if missing:
            raise source.error(
                1,
                what="a column is missing",
                found=", ".join(header)[:200],
                allowed=", ".join(_NAMES[key][0] for key in _NEEDED),
                fix=f"add {_NAMES[missing[0]][0]}",
            )
        begin = reader.line_num + 1
        for cells in reader:
            line, begin = begin, reader.line_num + 1
            if not cells or not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise source.error(
                    line,
                    what="a row has more or fewer cells than the header",
                    found=len(cells),
                    allowed=len(header),
                    fix="give the whole file",
                )
            yield line, {key: cells[column[key]].strip() if key in column else "" for key in _NAMES}
    except csv.Error as error:
        raise source.error(reader.line_num, what=f"not well-formed CSV: {error}", fix="give the whole file") from None
    except StopIteration:
        return


def _rate(source: Source, line: int, row: dict[str, str]) -> float | None:
    """Return the rate in bytes/s: of its own column, else as the description says."""
    if not row["rate"]:
        return rate_in_words(row["description"])
    rate = rate_in_words(f"{row['rate']}G")
    if rate is None:
        raise source.error(line, what="not a rate", found=repr(row["rate"][:40]), allowed="Gb/s, as 400")
    return rate
