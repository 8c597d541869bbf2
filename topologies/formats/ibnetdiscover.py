"""``ibnetdiscover``, plain and with ``-p``: every switch, adapter and link of an InfiniBand subnet.

The plain form has a paragraph a device and, in it, a line a port; ``-p`` has a line a port. Both list each link from
both ends, which tells a file that was cut short.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from topologies.formats.infiniband import Device, Subnet, link_rate
from topologies.formats.registry import BaseFormat, Imported, ReadOptions
from topologies.formats.source import Source

__all__ = ["IbnetdiscoverFormat"]

_DEVICE = re.compile(
    r'(?P<kind>Switch|Ca|Rt)\s+(?P<ports>\d+)\s+"(?P<key>[SHR]-[0-9a-fA-F]{1,16})"\s*'
    r'(?:#\s*"(?P<description>.*)"(?P<rest>.*))?$'
)
_PORT = re.compile(
    r"\[(\d+)\](?:\[ext \d+\])?(?:\(([0-9a-fA-F]+)\))?\s+"  # its port, its port GUID
    r'"([SHR]-[0-9a-fA-F]{1,16})"\[(\d+)\](?:\[ext \d+\])?(?:\([0-9a-fA-F]+\))?\s*'  # the far device and port
    r'#\s*(?:lid (\d+) lmc \d+ )?"(.*)" lid \d+ (\d+x)(\w+)\s*$'  # its LID; the far description; width and speed
)
_LID = re.compile(r"\blid (\d+)")
_HEADER_KEYS = ("vendid=", "devid=", "sysimgguid=", "switchguid=", "caguid=", "rtguid=")

_FLAT_END = r"(?P<{0}kind>SW|CA|RT)\s+(?P<{0}lid>\d+)\s+(?P<{0}port>\d+)\s+0x(?P<{0}guid>[0-9a-fA-F]{{16}})"
_FLAT = re.compile(
    _FLAT_END.format("a")
    + r"\s+(?P<width>\d+x|\?\?)\s+(?P<speed>\S+)"
    + rf"(?:\s+-\s+{_FLAT_END.format('b')}\s+\(\s'(?P<aname>.*)'\s-\s'(?P<bname>.*)'\s\)|\s+'.*')\s*$"
)


class IbnetdiscoverFormat(BaseFormat):
    """Registers ``ibnetdiscover``."""

    name = "ibnetdiscover"
    summary = "InfiniBand subnet as ibnetdiscover prints it, plain or with -p"
    reads = True

    def sniff(self, source: Source) -> int:
        """Look for its first lines."""
        if re.search(r"^# Topology file: generated on", source.head, re.MULTILINE):
            return 100
        lines = source.head.splitlines()[:5]
        return 90 if lines and (_FLAT.match(lines[0]) or any(line.startswith("vendid=0x") for line in lines)) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the subnet of one file; see `FabricFormat.read`."""
        source = _only(sources)
        subnet = Subnet(source, self.name)
        first = next((line for _, line in source.lines() if line.strip() and not line.startswith("#")), "")
        if _FLAT.match(first):
            _read_flat(source, subnet)
        else:
            _read_plain(source, subnet)
        return subnet.build(options)


def _only(sources: Sequence[Source]) -> Source:
    if len(sources) > 1:
        raise sources[1].error(
            None, what="two files of one network", found=sources[0].name, fix="give the output of one run"
        )
    return sources[0]


def _read_plain(source: Source, subnet: Subnet) -> None:
    device: Device | None = None
    named: dict[str, tuple[int, str]] = {}
    links = subnet.links
    for number, line in source.lines():
        if line.startswith("["):
            port = _PORT.match(line)
            if port is None or device is None:
                raise _unread(source, number, line)
            own, guid, key, other, own_lid, description, width, speed = port.groups()
            if key not in named:
                named[key] = number, description
            rate = link_rate(width, speed)
            if rate is None:
                raise source.error(number, what="no such link rate", found=f"{width}{speed}", allowed="as 4xNDR")
            end = device.key, int(own)
            if end in links:
                subnet.add_link(*end, key, int(other), rate, number)
            links[end] = key, int(other), rate, number
            if guid and not device.is_switch:
                _address(subnet, guid, own_lid, device.key)
        elif line.startswith(("Switch", "Ca", "Rt")):
            match = _DEVICE.match(line)
            if match is None:
                raise _unread(source, number, line)
            device = _described(subnet, source, number, match)
        elif line.strip() and not line.startswith(("#", *_HEADER_KEYS)):
            raise _unread(source, number, line)
    for key, (number, description) in named.items():
        if key not in subnet.devices:
            raise source.error(
                number,
                what="a device is named and not described: the file is cut short",
                found=f"{key} ({description})",
                fix="run ibnetdiscover again and give its whole output",
            )


def _described(subnet: Subnet, source: Source, number: int, match: re.Match[str]) -> Device:
    key = match["key"]
    if key in subnet.devices:
        raise source.error(
            number,
            what="a device is described twice",
            found=f"{key}, also on line {subnet.devices[key].line}",
            fix="give the output of one run",
        )
    is_switch = match["kind"] != "Ca"
    device = Device(key, is_switch, match["description"] or "", number, int(match["ports"]), is_described=True)
    subnet.devices[key] = device
    if is_switch:
        lid = _LID.search(match["rest"] or "")
        _address(subnet, key[2:], lid.group(1) if lid else None, key)
    return device


def _read_flat(source: Source, subnet: Subnet) -> None:
    for number, line in source.lines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _FLAT.match(line)
        if match is None:
            raise _unread(source, number, line)
        if match["bkind"] is None:
            continue
        ends = []
        for side in "ab":
            is_switch = match[f"{side}kind"] != "CA"
            key = f"{'S' if is_switch else 'H'}-{match[f'{side}guid'].lower()}"
            if key not in subnet.devices:
                subnet.devices[key] = Device(key, is_switch, match[f"{side}name"], number)
                _address(subnet, match[f"{side}guid"], match[f"{side}lid"], key)
            ends.append((key, int(match[f"{side}port"])))
        rate = link_rate(match["width"], match["speed"])
        if rate is None:
            raise source.error(
                number, what="no such link rate", found=f"{match['width']} {match['speed']}", allowed="as 4x NDR"
            )
        subnet.add_link(*ends[0], *ends[1], rate, number)


def _address(subnet: Subnet, guid: str, lid: str | None, key: str) -> None:
    subnet.addresses[f"guid:0x{guid.zfill(16).lower()}"] = key
    if lid is not None and lid.strip("0"):
        subnet.addresses[f"lid:{lid.lstrip('0')}"] = key


def _unread(source: Source, number: int, line: str) -> Exception:
    at_end = number >= source.text.rstrip("\n").count("\n") + 1
    return source.error(
        number,
        what="the file is cut short" if at_end else "not a line of ibnetdiscover",
        found=repr(line[:80]),
        allowed='as [1] "S-…"[2] # "leaf1" lid 3 4xNDR',
        fix="run ibnetdiscover again and give its whole output",
    )
