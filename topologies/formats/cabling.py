"""Cables between ports of named devices, as LLDP and cable lists have them: which devices are hosts, and the fabric.

Such files know devices and ports, but not what a device is and often not how fast a cable is. Both are taken from what
is stated, else guessed, and told.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from topologies.formats.registry import Imported, ReadOptions
from topologies.formats.source import Source
from topologies.formats.wiring import Wiring, host_pattern
from topologies.units import from_gbps

__all__ = ["ASSUMED_GBPS", "Cable", "Cabling", "rate_in_words"]

ASSUMED_GBPS = 400.0
"""Rate of a cable that nothing tells, 10⁹ bit/s: the NIC of 8-GPU hosts since 2022. Source: NVIDIA DGX SuperPOD H100
reference architecture RA-11333-001 (2023)."""

_HOST_PORT = re.compile(
    r"(?:en[opsx]\w*|eth\d+|ib[ps]?\w*\d\w*|mlx\d+_\d+|bond\d+|roce\w*|rdma\d+|rail\w*|nic\d+|hca\w*|gpu\w*|npu\w*"
    r"|p\d+p\d+|slot\w*port\w*|port-?[ab])(?:/p?\d+)?",
    re.IGNORECASE,
)
"""Names of interfaces as Linux and adapter drivers give them."""

_SWITCH_PORT = re.compile(
    r"(?:swp\d+\w*|Ethernet\d+(?:/\d+)*|Eth\d+/\d+(?:/\d+)*|[gxe]t-\d+/\d+/\d+.*|(?:Ten|Hundred|Forty|Fourhundred|Twentyfive"
    r"|FourHundred)\w*\d.*|[A-Z][a-z]*GigE?\w*\d+/.*|sw\w*\d+|\d+(?:/\d+)*|Po\d+|IB\d+(?:/\d+)*)"
)
"""Names of ports as Cumulus Linux, SONiC, Arista EOS, Cisco IOS and NX-OS, Junos and MLNX-OS give them."""

_MANAGEMENT = re.compile(r"(?:bmc|ipmi|idrac|ilo|drac|mgmt|management|oob|console|fxp|ma)[\w.-]*", re.IGNORECASE)
_MANAGEMENT_DEVICE = re.compile(r"(?:^|[^a-z])(?:mgmt|management|oob|ipmi|bmc)(?:[^a-z]|$)", re.IGNORECASE)
_SWITCH_MANAGEMENT = re.compile(r"(?:eth0|me0|em0)")
_SWITCH_WORDS = re.compile(
    r"(?:^|[^a-z])(?:leaf|spine|core|tor|agg|super-?spine|switch|sw|asw|psw|dsw|fsw|ssw|rsw)(?:[^a-z]|$)"
)
_RATE = re.compile(
    r"(?<![\w.])(\d{1,4}(?:\.\d{1,3})?)\s?(?:G(?:b|bit)?(?:ps|/s)?|GbE|GE|GigE|Gbase\S*)(?![\w/])", re.IGNORECASE
)


def rate_in_words(text: str) -> float | None:
    """Return the rate that a description names, such as ``leaf to spine, 800 Gb/s``, in bytes/s; None if none."""
    match = _RATE.search(text)
    gbps = float(match.group(1)) if match else 0.0
    return from_gbps(gbps) if gbps > 0 else None


@dataclass(frozen=True)
class Cable:
    """A cable; an empty port is one that the file does not name."""

    a: str
    port_a: str
    b: str
    port_b: str
    rate_bytes_per_s: float | None
    line: int | None = None


@dataclass
class Cabling:
    """Collects cables and what is said of devices; `build` makes the fabric.

    Attributes
    ----------
    stated
        Whether a device is a host, where the file says so.
    bridges
        Whether a device says of itself that it forwards, as LLDP's capabilities do; a hint, as hosts may forward too.
    drops_host_pairs
        Whether cables between two hosts are left out and told; else they are refused.
    """

    name: str
    format: str
    source: Source
    stated: dict[str, bool] = field(default_factory=dict)
    bridges: dict[str, bool] = field(default_factory=dict)
    cables: list[Cable] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)
    drops_host_pairs: bool = False

    def build(self, options: ReadOptions) -> Imported:
        """Return the fabric.

        Raises
        ------
        InputError
            If a cable joins two hosts, or nothing is a host.
        """
        wiring = Wiring(
            self.name, self.format, self.source.name, description=f"Cables of {self.source.name}.",
            guesses=list(self.guesses), left_out=list(self.left_out),
        )  # fmt: skip
        cables = self._without_management(wiring)
        is_host = self._roles(cables, options, wiring)
        for device, host in is_host.items():
            if not host:
                wiring.switch(device)
        pairs = 0
        assumed: Counter[float] = Counter()
        for cable in cables:
            if is_host[cable.a] and is_host[cable.b]:
                pairs += 1
                if self.drops_host_pairs:
                    continue
                raise self.source.error(
                    cable.line,
                    what="a cable joins two hosts",
                    found=f"{cable.a} – {cable.b}",
                    allowed="a switch between",
                    fix="say which devices are hosts by --hosts, a regular expression",
                )
            rate, is_told = cable.rate_bytes_per_s, True
            if rate is None:
                told = options.nic_gbps if is_host[cable.a] or is_host[cable.b] else options.uplink_gbps
                is_told = told is not None
                told = told or options.nic_gbps or ASSUMED_GBPS
                rate = from_gbps(told)
                assumed[told] += 1
            ends = []
            for device, port in ((cable.a, cable.port_a), (cable.b, cable.port_b)):
                if is_host[device]:
                    nic, slash, number = port.rpartition("/p")
                    label = nic if slash and number.isdecimal() else port
                    ends.append((wiring.nic(device, label or "nic"), port))
                else:
                    ends.append((device, port))
            (a, port_a), (b, port_b) = ends
            wiring.cable(a, port_a, b, port_b, rate, is_guessed=not is_told)
        if pairs:
            wiring.left_out.append(f"{pairs} cables between two hosts")
        for told, count in assumed.items():
            wiring.guesses.append(f"{count} cables without a rate have {told:g} Gb/s")
        return wiring.build(ReadOptions(**{**vars(options), "hosts": ""}))

    def _without_management(self, wiring: Wiring) -> list[Cable]:
        """Leave out the cables of management ports, and of devices that are called so."""

        def is_management(device: str, port: str) -> bool:
            if _MANAGEMENT.fullmatch(port) or _MANAGEMENT_DEVICE.search(device):
                return True
            return bool(_SWITCH_MANAGEMENT.fullmatch(port)) and votes[device] < 0

        votes = self._votes()

        kept = [c for c in self.cables if not (is_management(c.a, c.port_a) or is_management(c.b, c.port_b))]
        if len(kept) < len(self.cables):
            wiring.left_out.append(f"{len(self.cables) - len(kept)} cables of management ports")
        return kept

    def _votes(self) -> Counter[str]:
        """Return by device how many of its ports have names of a host's, less those of a switch's."""
        votes: Counter[str] = Counter()
        for cable in self.cables:
            for device, port in ((cable.a, cable.port_a), (cable.b, cable.port_b)):
                votes[device] += bool(_HOST_PORT.fullmatch(port)) - bool(_SWITCH_PORT.fullmatch(port))
        return votes

    def _roles(self, cables: list[Cable], options: ReadOptions, wiring: Wiring) -> dict[str, bool]:
        """Return for each device whether it is a host: as stated, else by --hosts, else guessed."""
        devices = dict.fromkeys(end for cable in cables for end in (cable.a, cable.b))
        if options.hosts:
            wanted = host_pattern(options.hosts)
            return {device: bool(wanted.search(device)) for device in devices}
        votes = self._votes()
        neighbours: dict[str, set[str]] = {}
        for cable in cables:
            neighbours.setdefault(cable.a, set()).add(cable.b)
            neighbours.setdefault(cable.b, set()).add(cable.a)
        is_host, by = {}, Counter[str]()
        for device in devices:
            if device in self.stated:
                is_host[device] = self.stated[device]
            elif votes[device]:
                is_host[device] = votes[device] > 0
                by["names of their ports"] += 1
            elif _SWITCH_WORDS.search(device.lower()):
                is_host[device] = False
                by["their own names"] += 1
            elif device in self.bridges:
                is_host[device] = not self.bridges[device]
                by["whether they bridge"] += 1
            else:
                is_host[device] = len(neighbours[device]) == 1
                by["having one neighbour"] += 1
        if by:
            how = ", ".join(f"{count} by {what}" for what, count in by.most_common())
            wiring.guesses.append(f"which devices are hosts: {how}")
        return is_host
