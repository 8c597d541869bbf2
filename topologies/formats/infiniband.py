"""What InfiniBand tools have in common: link rates, names in node descriptions, and the wiring of what they list."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from topologies.formats.registry import Imported, ReadOptions
from topologies.formats.source import Source
from topologies.formats.wiring import Wiring
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import from_gbps

__all__ = ["LANE_GBPS", "Device", "Subnet", "link_rate"]

LANE_GBPS = {
    "SDR": 2.0,
    "DDR": 4.0,
    "QDR": 8.0,
    "FDR10": 10.0,
    "FDR": 14.0625 * 64 / 66,
    "EDR": 25.0,
    "HDR": 50.0,
    "NDR": 100.0,
    "XDR": 200.0,
}
"""Data rate of one lane, 10⁹ bit/s, without line coding: 8b/10b up to QDR, 64b/66b from FDR10, and as the speed is
named from EDR. Source: InfiniBand Architecture Specification, volume 1, LinkSpeedActive; IBTA roadmap."""

_WIDTH = re.compile(r"(\d{1,2})[xX]", re.ASCII)
_SWITCH_DESCRIPTION = re.compile(r"MF\d+;(?P<name>[^:]+):(?P<model>[^/:]+)(?P<rest>(?:/[^/]+)*)")
_VENDOR_WORDS = re.compile("mellanox|technologies|connectx|infinihost|connect-ib|bluefield", re.IGNORECASE)
_AGGREGATION = "aggregation node"


@lru_cache(maxsize=1024)
def link_rate(width: str, speed: str) -> float | None:
    """Return the rate of a link such as ``4x NDR`` in bytes/s, one direction; None if a word is unknown."""
    lanes = _WIDTH.fullmatch(width)
    lane = LANE_GBPS.get(speed.upper())
    return from_gbps(int(lanes.group(1)) * lane) if lanes and lane else None


@dataclass
class Device:
    """A switch, channel adapter or router as a tool lists it.

    Attributes
    ----------
    key
        What names it in the file (its GUID).
    is_switch
        Whether it forwards.
    description
        Its NodeDescription.
    line
        Where it is described, or first named.
    num_ports
        As stated; 0 if not.
    is_described
        Whether the file has its own paragraph, not only links to it.
    """

    key: str
    is_switch: bool
    description: str
    line: int
    num_ports: int = 0
    is_described: bool = False
    name: str = ""


@dataclass
class Subnet:
    """Devices and links of one subnet, collected by a reader; `build` makes the fabric.

    A link is ``(key, port)`` twice with its rate; every link between described devices is listed from both ends.
    """

    source: Source
    format: str
    devices: dict[str, Device] = field(default_factory=dict)
    links: dict[tuple[str, int], tuple[str, int, float, int]] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def add_link(self, key: str, port: int, other: str, other_port: int, rate_bytes_per_s: float, line: int) -> None:
        """Add one end's view of a link.

        Raises
        ------
        InputError
            If the port has a link already.
        """
        known = self.links.setdefault((key, port), (other, other_port, rate_bytes_per_s, line))
        if known[3] != line:
            raise self.source.error(
                line,
                what="a port has two links",
                found=f"port {port} of {key}, also on line {known[3]}",
                allowed="one link a port",
                fix="give the output of one run",
            )

    def check_both_ends(self) -> None:
        """Refuse links that only one end lists: the file is cut short, or put together from several runs.

        Raises
        ------
        InputError
            Naming the line of the end that is there.
        """
        for (key, port), (other, other_port, rate, line) in self.links.items():
            back = self.links.get((other, other_port))
            if back is not None and (back[0], back[1]) == (key, port) and back[2] == rate:
                continue
            if back is None:
                what = "a link is listed from one end only: the file is cut short"
                found = f"port {port} of {key} leads to port {other_port} of {other}, which has no such line"
            else:
                what = "the two ends of a link disagree: the file is mixed from several runs"
                found = f"port {port} of {key} and line {back[3]}"
            raise self.source.error(line, what=what, found=found, fix="run the tool again and give its whole output")

    # ---- names -------------------------------------------------------------------------------------------------

    def build(self, options: ReadOptions) -> Imported:
        """Return the fabric.

        Raises
        ------
        InputError
            If links do not agree, or nothing but switches is there.
        """
        self.check_both_ends()
        wiring = Wiring(
            name=self.source.stem,
            format=self.format,
            source=self.source.name,
            is_infiniband=True,
            description=f"Discovered subnet, from {self.source.name}.",
        )
        self._drop_aggregation_nodes(wiring)
        self._add_switches(wiring, options)
        self._add_nics(wiring)
        for (key, port), (other, other_port, rate, _) in self.links.items():
            if (key, port) > (other, other_port):
                continue
            a, b = self.devices[key], self.devices[other]
            if not (a.name and b.name):
                continue
            if not (a.is_switch or b.is_switch):
                wiring.left_out.append(f"a link between two channel adapters, {a.description} and {b.description}")
                continue
            if (b.is_switch and not a.is_switch) or not (a.is_switch and not b.is_switch):
                wiring.cable(a.name, str(port), b.name, str(other_port), rate)
            else:
                wiring.cable(b.name, str(other_port), a.name, str(port), rate)
        for address, key in self.addresses.items():
            if key in self.devices and self.devices[key].name:
                wiring.addresses[address] = self.devices[key].name
        return wiring.build(options)

    def _drop_aggregation_nodes(self, wiring: Wiring) -> None:
        """Leave out the adapters inside switches that do in-network reduction; they are no hosts."""
        gone = {d.key for d in self.devices.values() if not d.is_switch and _AGGREGATION in d.description.lower()}
        if gone:
            self.links = {end: link for end, link in self.links.items() if end[0] not in gone and link[0] not in gone}
            for key in gone:
                del self.devices[key]
            wiring.left_out.append(f"{len(gone)} aggregation nodes of switches (in-network reduction)")

    def _add_switches(self, wiring: Wiring, options: ReadOptions) -> None:
        switches = [d for d in self.devices.values() if d.is_switch]
        names = {d.key: switch_name(d.description) or d.key for d in switches}
        taken = Counter(names.values())
        parts = load_parts() if options.parts is None else options.parts
        for device in switches:
            name = names[device.key]
            device.name = name if taken[name] == 1 else f"{name}-{device.key}"
            wiring.switch(device.name, part=switch_part(device.description, parts))

    def _add_nics(self, wiring: Wiring) -> None:
        """Name each adapter by host and device; those whose description names no host by themselves."""
        adapters = sorted((d for d in self.devices.values() if not d.is_switch), key=lambda d: d.key)
        ends = {d.key: host_and_device(d.description) for d in adapters}
        taken = Counter(end for end in ends.values() if end is not None)
        unnamed, doubled = 0, 0
        seen: Counter[str] = Counter()
        for device in adapters:
            end = ends[device.key]
            if end is None:
                unnamed += 1
                device.name = wiring.nic(device.key, "nic0")
                continue
            host, label = end
            if taken[end] > 1 or not label:
                doubled += taken[end] > 1
                label = f"{label}-{seen[f'{host}/{label}']}" if label else f"nic{seen[f'{host}/{label}']}"
                seen[f"{host}/{end[1]}"] += 1
            device.name = wiring.nic(host, label)
        if unnamed:
            wiring.guesses.append(f"{unnamed} adapters whose description names no host stand as a host each, by GUID")
        if doubled:
            wiring.guesses.append(f"{doubled} adapters of one description are told apart by the order of their GUIDs")


def switch_name(description: str) -> str:
    """Return the name of a switch from its description; empty if that is a vendor's text that all of a kind share."""
    match = _SWITCH_DESCRIPTION.fullmatch(description.strip())
    if match:
        rest = match["rest"].removesuffix("/U1")
        return match["name"] + rest
    return "" if _VENDOR_WORDS.search(description) else "-".join(description.split())


def switch_part(description: str, parts: Mapping[str, Part]) -> Part | None:
    """Return the part of a switch whose description names its model, as ``MF0;leaf1:MQM9700/U1`` does."""
    match = _SWITCH_DESCRIPTION.fullmatch(description.strip())
    if not match:
        return None
    model = match["model"].lower().removeprefix("m")
    return next((part for part in parts.values() if part.part_class == "switch" and part.id == model), None)


def host_and_device(description: str) -> tuple[str, str] | None:
    """Return host and device of an adapter's description (``h1 mlx5_0``, ``h1``), None if it names no host."""
    text = description.strip()
    if not text or _VENDOR_WORDS.search(text):
        return None
    words = text.split()
    return (words[0], "") if len(words) == 1 else (words[0], "-".join(words[1:]))
