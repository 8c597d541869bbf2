"""`Wiring`: switches, NICs and cables as a discovery names them, and the fabric they make."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric
from topologies.formats.hosts import HostRow, add_rows
from topologies.formats.ports import CablePorts
from topologies.formats.registry import Imported, ReadOptions
from topologies.kinds.hosts import LINK_LATENCY_US
from topologies.parts import Part
from topologies.units import from_us

__all__ = ["Wiring", "built", "host_pattern", "natural_key"]

_DIGITS = re.compile(r"(\d{1,18})", re.ASCII)


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key that sorts numbers in names by value: ``h2`` before ``h10``."""
    return tuple((0, int(p)) if i % 2 else (1, p) for i, p in enumerate(_DIGITS.split(name)))


def host_pattern(pattern: str) -> re.Pattern[str]:
    """Return the pattern of `ReadOptions.hosts`, compiled.

    Raises
    ------
    InputError
        If it is no regular expression.
    """
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(what="not a regular expression", where="--hosts", found=f"{pattern!r}: {error}") from None


def built(builder: FabricBuilder, where: str) -> Fabric:
    """Return the fabric of a builder; a fault names the file.

    Raises
    ------
    InputError
        If what was collected makes no fabric.
    """
    try:
        return builder.build()
    except InputError as error:
        place = f"{where}: {error.where}" if error.where else where
        raise InputError(
            what=error.what, where=place, found=error.found, allowed=error.allowed, fix=error.fix
        ) from None


@dataclass
class _Nic:
    host: str
    label: str
    rail: int | None


@dataclass
class _Switch:
    tier: int | None
    pod: int | None
    part: Part | None


@dataclass
class Wiring:
    """Collects what a discovery names; `build` returns the fabric.

    A discovery knows the network and nothing of the inside of hosts. Accelerators and rails are filled in, and told.

    Parameters
    ----------
    name
        Of the fabric.
    format
        Of the file.
    source
        File name, for messages.
    is_infiniband
        Which network it is, for the latencies.
    """

    name: str
    format: str
    source: str
    is_infiniband: bool = False
    description: str = ""
    guesses: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    _switches: dict[str, _Switch] = field(default_factory=dict)
    _nics: dict[str, _Nic] = field(default_factory=dict)
    _racks: dict[str, str] = field(default_factory=dict)
    _cables: list[tuple[str, str, str, str, float, float, bool]] = field(default_factory=list)

    def switch(self, name: str, *, tier: int | None = None, pod: int | None = None, part: Part | None = None) -> None:
        """Add a switch."""
        self._switches[name] = _Switch(tier, pod, part)

    def nic(self, host: str, label: str, *, rail: int | None = None) -> str:
        """Add a NIC, if it is new; return its node name, ``host/label``."""
        name = f"{host}/{label}"
        if name not in self._nics:
            self._nics[name] = _Nic(host, label, rail)
        return name

    def rack(self, host: str, rack: str) -> None:
        """Say in which rack a host stands."""
        self._racks[host] = rack

    def cable(
        self,
        a: str,
        port_a: str,
        b: str,
        port_b: str,
        rate_bytes_per_s: float,
        latency_s: float | None = None,
        *,
        is_guessed: bool = False,
    ) -> None:
        """Add a cable between two nodes by name; say whether its rate is a guess."""
        if latency_s is None:
            latency_s = from_us(LINK_LATENCY_US["InfiniBand" if self.is_infiniband else "Ethernet"])
        self._cables.append((a, port_a, b, port_b, rate_bytes_per_s, latency_s, is_guessed))

    def has_switch(self, name: str) -> bool:
        """Tell whether there is a switch of that name."""
        return name in self._switches

    # ---- build -------------------------------------------------------------------------------------------------

    def build(self, options: ReadOptions) -> Imported:
        """Return the fabric.

        Raises
        ------
        InputError
            If no host is left, or what is known makes no fabric.
        """
        self._keep_hosts(options.hosts)
        self._keep_cabled()
        if not self._nics:
            raise InputError(
                what="no host with a cable to a switch is named",
                where=self.source,
                found=f"{len(self._switches)} switches, {len(self._cables)} cables",
                allowed="at least one host",
                fix="check the pattern of --hosts" if options.hosts else "give a file that covers the hosts",
            )
        builder = FabricBuilder(options.name or self.name, description=self.description)
        ids = add_rows(builder, self._rows(), options, is_infiniband=self.is_infiniband, guesses=self.guesses)
        network = "InfiniBand" if self.is_infiniband else "Ethernet"
        self.guesses.append(f"latencies are those of {network} between H800 hosts (arXiv:2505.09343)")
        for name, switch in self._switches.items():
            ids[name] = builder.add_switch(name, tier=switch.tier, pod=switch.pod, part=switch.part)
        self._add_cables(builder, ids)
        builder.assumptions += self.guesses
        fabric = built(builder, self.source)
        inside = [""] * (fabric.num_links // 2 - len(self._cables))
        return Imported(
            fabric=fabric,
            format=self.format,
            guesses=tuple(self.guesses),
            left_out=tuple(self.left_out),
            ports=CablePorts(inside + [c[1] for c in self._cables], inside + [c[3] for c in self._cables]),
            addresses=self.addresses,
            rate_is_guessed=[False] * len(inside) + [c[6] for c in self._cables],
        )

    def _keep_hosts(self, pattern: str) -> None:
        """Drop the NICs of hosts that do not match, with their cables."""
        if not pattern:
            return
        wanted = host_pattern(pattern)
        dropped = {name: nic.host for name, nic in self._nics.items() if not wanted.search(nic.host)}
        if dropped:
            self._drop(dropped, f"{len(set(dropped.values()))} hosts that --hosts {pattern} does not match")

    def _keep_cabled(self) -> None:
        """Drop NICs and switches without any cable: no traffic can reach them."""
        cabled = {end for cable in self._cables for end in (cable[0], cable[2])}
        nics = [name for name in self._nics if name not in cabled]
        if nics:
            self._drop(dict.fromkeys(nics), f"{len(nics)} NICs without a cable, first {nics[0]}")
        switches = [name for name in self._switches if name not in cabled]
        for name in switches:
            del self._switches[name]
        if switches:
            self.left_out.append(f"{len(switches)} switches without a cable, first {switches[0]}")

    def _drop(self, nics: dict[str, object] | dict[str, str], why: str) -> None:
        self._cables = [c for c in self._cables if c[0] not in nics and c[2] not in nics]
        for name in nics:
            del self._nics[name]
        self.left_out.append(why)

    def _rows(self) -> list[HostRow]:
        """Return the hosts in the order of their names, NICs in the order of their labels."""
        rate_of: dict[str, float] = {}
        for a, _, b, _, rate, *_ in self._cables:
            for end in (a, b):
                if end in self._nics:
                    rate_of[end] = rate_of.get(end, 0.0) + rate
        labels = sorted({nic.label for nic in self._nics.values()}, key=natural_key)
        place = {label: i for i, label in enumerate(labels)}
        by_host: dict[str, list[_Nic]] = {}
        for nic in self._nics.values():
            by_host.setdefault(nic.host, []).append(nic)
        most = max(map(len, by_host.values()))
        guessed = any(nic.rail is None for nic in self._nics.values())
        by_place = len(labels) <= max(2 * most, most + 8)
        if guessed and most > 1:
            order = (
                f"names ({', '.join(labels[:3])}{', …' if len(labels) > 3 else ''})" if by_place else "names in a host"
            )
            self.guesses.append(f"the rail of a NIC is its place in the order of NIC {order}")
        rows = []
        for host in sorted(by_host, key=natural_key):
            nics = sorted(by_host[host], key=lambda nic: place[nic.label])
            rows.append(
                HostRow(
                    name=host,
                    nics=tuple(nic.label for nic in nics),
                    rails=tuple(
                        nic.rail if nic.rail is not None else place[nic.label] if by_place else i
                        for i, nic in enumerate(nics)
                    ),
                    nic_bytes_per_s=tuple(rate_of[f"{host}/{nic.label}"] for nic in nics),
                    rack=self._racks.get(host),
                )
            )
        return rows

    def _add_cables(self, builder: FabricBuilder, ids: dict[str, int]) -> None:
        builder.add_cables(
            np.array([ids[c[0]] for c in self._cables], np.int64),
            np.array([ids[c[2]] for c in self._cables], np.int64),
            rate_bytes_per_s=np.array([c[4] for c in self._cables]),
            latency_s=np.array([c[5] for c in self._cables]),
        )
