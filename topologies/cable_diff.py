"""What differs between a fabric as it was meant and as it was found: cables, named by the ports at both ends.

Hosts and switches are matched by name, NICs of a host by name or, where their names differ, by rail. Only the scale-out
network is compared; the inside of hosts is not what cabling goes wrong about. Rates that a reader guessed are not
compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.formats.ports import CablePorts, numbered_ports
from topologies.formats.registry import Imported
from topologies.units import to_gbps

__all__ = ["CableEnds", "Difference", "diff_fabrics"]

RATE_TOLERANCE_FRAC = 1e-3
"""Rates nearer to each other than this are the same: 4xFDR is 54.55 Gb/s in one tool and 54.5 in another."""

KINDS = ("missing device", "extra device", "crossed", "mis-cabled", "missing", "extra", "other port", "slow", "fast")
"""Kinds of differences, in the order in which they are told."""

_End = tuple[str, int]
"""A device and, for a NIC, its place in the host (-1 for a switch)."""


@dataclass(frozen=True)
class CableEnds:
    """A cable as one side has it: device and port of both ends, and its rate (the slower direction).

    An end of a host is the host with the NIC's name; where a NIC has several cables, with the port.
    """

    a: str
    port_a: str
    b: str
    port_b: str
    gbps: float

    def __str__(self) -> str:
        return f"{self.a} {self.port_a} – {self.b} {self.port_b}"


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Attributes
    ----------
    kind
        One of `KINDS`.
    text
        For people, with the ports.
    expected, observed
        The cables concerned, on each side.
    """

    kind: str
    text: str
    expected: Sequence[CableEnds] = ()
    observed: Sequence[CableEnds] = ()


@dataclass
class _Cable:
    """A cable with its two ends in a fixed order: the end in the host, or the lower name, first."""

    ends: tuple[_End, _End]
    ports: tuple[str, str]
    gbps: float
    labels: tuple[str, str]
    is_guessed: bool

    def told(self) -> CableEnds:
        (a, _), (b, _) = self.ends
        return CableEnds(a, self.labels[0], b, self.labels[1], self.gbps)

    def other(self, end: _End) -> int:
        """Return the position of the end that is not `end`."""
        return 1 if self.ends[0] == end else 0


@dataclass
class _Side:
    """The scale-out cables of one fabric by the pair of their ends."""

    fabric: Fabric
    ports: CablePorts
    cables: dict[tuple[_End, _End], list[_Cable]] = field(default_factory=lambda: defaultdict(list))

    def devices(self) -> set[str]:
        """Return hosts and switches."""
        fabric = self.fabric
        switches = np.flatnonzero(fabric.node_kind == NodeKind.SWITCH)
        return {*fabric.host_names, *(fabric.node_names[int(node)] for node in switches)}


def diff_fabrics(expected: Imported, observed: Imported) -> list[Difference]:
    """Return what differs, the worst first; empty if nothing does.

    Raises
    ------
    InputError
        If the two name none of their hosts alike.
    """
    common = set(expected.fabric.host_names) & set(observed.fabric.host_names)
    if not common:
        raise InputError(
            what="the two fabrics have no host of one name",
            where=f"{expected.fabric.name}, {observed.fabric.name}",
            found=f"{expected.fabric.host_names[0]!r} and {observed.fabric.host_names[0]!r}",
            fix="name the hosts of the design as the site does",
        )
    sides = _sides(expected, observed)
    found = list(_devices(*sides))
    lonely = sides[0].devices() ^ sides[1].devices()
    missing, extra = [], []
    by_port = expected.ports is not None and observed.ports is not None
    for pair in {**sides[0].cables, **sides[1].cables}:
        if pair[0][0] in lonely or pair[1][0] in lonely:
            continue
        wanted, there = list(sides[0].cables.get(pair, [])), list(sides[1].cables.get(pair, []))
        for a, b in _matched(wanted, there, by_port):
            found += _of_matched(a, b, by_port)
        missing += wanted
        extra += there
    found += _of_unmatched(missing, extra, by_port)
    return sorted(found, key=lambda d: (KINDS.index(d.kind), d.text))


def _sides(expected: Imported, observed: Imported) -> tuple[_Side, _Side]:
    """Return both sides, their NICs numbered alike: by name where a host's names are the same, else by rail."""
    names = [_nic_names(imported.fabric) for imported in (expected, observed)]
    sides = []
    for imported, own, other in ((expected, names[0], names[1]), (observed, names[1], names[0])):
        place: dict[int, _End] = {}
        for host, nics in own.items():
            alike = {label for label, _, _ in nics} == {label for label, _, _ in other.get(host, [])}
            order = sorted(nics) if alike else sorted(nics, key=lambda nic: (nic[1], nic[2]))
            unique_rails = len({rail for _, rail, _ in nics}) == len(nics)
            for i, (_, rail, node) in enumerate(order):
                place[node] = (host, i if alike or not unique_rails else rail)
        sides.append(_side(imported, place))
    return sides[0], sides[1]


def _nic_names(fabric: Fabric) -> dict[str, list[tuple[str, int, int]]]:
    """Return ``(label, rail, node)`` of the NICs of each host."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for i, (host, rail) in enumerate(zip(fabric.nic_host.tolist(), fabric.nic_rail.tolist(), strict=True)):
        name, node = fabric.host_names[host], fabric.num_accelerators + i
        found.setdefault(name, []).append((fabric.node_names[node].removeprefix(f"{name}/"), rail, node))
    return found


def _side(imported: Imported, place: dict[int, _End]) -> _Side:
    fabric = imported.fabric
    ports = imported.ports or numbered_ports(fabric)
    side = _Side(fabric, ports)
    guessed = imported.rate_is_guessed or [False] * (fabric.num_links // 2)
    kept = np.flatnonzero(fabric.link_kind[0::2] == LinkKind.SCALE_OUT) * 2
    cables_of = Counter(fabric.link_source[np.concatenate([kept, kept + 1])].tolist())
    for link in kept.tolist():
        rows = []
        for node, label in zip(
            (int(fabric.link_source[link]), int(fabric.link_target[link])), ports.at(link), strict=True
        ):
            if node not in place:
                rows.append(((fabric.node_names[node], -1), label, f"port {label}" if label else "(port not named)"))
                continue
            host, _ = end = place[node]
            name = fabric.node_names[node].removeprefix(f"{host}/")
            port = label if cables_of[node] > 1 else ""
            rows.append((end, port, f"{name} port {port}" if port else name))
        rows.sort(key=lambda row: (row[0][1] < 0, row[0]))  # the host's end first
        gbps = to_gbps(float(fabric.link_capacity_bytes_per_s[link : link + 2].min()))
        (end_a, port_a, told_a), (end_b, port_b, told_b) = rows
        side.cables[end_a, end_b].append(
            _Cable((end_a, end_b), (port_a, port_b), gbps, (told_a, told_b), guessed[link // 2])
        )
    return side


def _devices(expected: _Side, observed: _Side) -> Iterator[Difference]:
    """Yield devices that one side does not have, with their cables."""
    for side, other, kind in ((expected, observed, "missing device"), (observed, expected, "extra device")):
        gone = side.devices() - other.devices()
        cables: dict[str, list[CableEnds]] = {name: [] for name in gone}
        for pair, members in side.cables.items():
            owner = next((end[0] for end in pair if end[0] in gone), None)
            if owner is not None:
                cables[owner] += [cable.told() for cable in members]
        hosts = set(side.fabric.host_names)
        for name, told in cables.items():
            word = "host" if name in hosts else "switch"
            text = f"{word} {name} with {len(told)} cables"
            yield Difference(kind, text, told, ()) if kind == "missing device" else Difference(kind, text, (), told)


def _matched(wanted: list[_Cable], there: list[_Cable], by_port: bool) -> Iterator[tuple[_Cable, _Cable]]:
    """Yield cables that both sides have between the same ends, taking them out of the lists: by port, then by rate."""
    keys = (lambda c: c.ports, lambda c: None) if by_port else (lambda c: None,)
    for key in keys:
        open_: dict[object, list[_Cable]] = defaultdict(list)
        for cable in sorted(there, key=lambda c: c.gbps):
            open_[key(cable)].append(cable)
        for cable in sorted(wanted, key=lambda c: -c.gbps):
            if open_[key(cable)]:
                partner = open_[key(cable)].pop()
                wanted.remove(cable)
                there.remove(partner)
                yield cable, partner


def _of_matched(wanted: _Cable, there: _Cable, by_port: bool) -> Iterator[Difference]:
    sides = (wanted.told(),), (there.told(),)
    pairs = zip(wanted.ports, there.ports, strict=True)
    if by_port and any(a and b and a != b for a, b in pairs):
        yield Difference("other port", f"{sides[1][0]}, meant as {sides[0][0]}", *sides)
    change = there.gbps / wanted.gbps - 1
    if abs(change) > RATE_TOLERANCE_FRAC and not (wanted.is_guessed or there.is_guessed):
        kind = "slow" if change < 0 else "fast"
        yield Difference(kind, f"{sides[1][0]} at {there.gbps:g} Gb/s, meant for {wanted.gbps:g} Gb/s", *sides)


def _of_unmatched(missing: list[_Cable], extra: list[_Cable], by_port: bool) -> Iterator[Difference]:
    """Yield cables that lead elsewhere (two of them crossed, or one mis-cabled), and those that only one side has."""
    moved = _moved(missing, extra, by_port)
    paired = {id(cable) for end, a, b in moved for cable in (a, b)}
    crossed: set[int] = set()
    by_change: dict[tuple[_End, _End], list[int]] = defaultdict(list)
    for i, (end, a, b) in enumerate(moved):
        by_change[a.ends[a.other(end)], b.ends[b.other(end)]].append(i)
    for i, (end, a, b) in enumerate(moved):
        if i in crossed:
            continue
        back = by_change.get((b.ends[b.other(end)], a.ends[a.other(end)]), [])
        # of several swaps between the same two devices, one in the same host first
        back = sorted((j for j in back if j > i and j not in crossed), key=lambda j: moved[j][0][0] != end[0])
        if back:
            j = back[0]
            crossed |= {i, j}
            told = [(x.told(), y.told()) for _, x, y in (moved[i], moved[j])]
            what = "crossed rails, " if moved[j][0][0] == end[0] and end[1] >= 0 else ""
            text = f"{what}{told[0][1]} and {told[1][1]}, meant as {told[0][0]} and {told[1][0]}"
            yield Difference("crossed", text, [x for x, _ in told], [y for _, y in told])
    for i, (_, a, b) in enumerate(moved):
        if i not in crossed:
            yield Difference("mis-cabled", f"{b.told()}, meant as {a.told()}", (a.told(),), (b.told(),))
    for cable in missing:
        if id(cable) not in paired:
            yield Difference("missing", f"{cable.told()}, {cable.gbps:g} Gb/s", (cable.told(),), ())
    for cable in extra:
        if id(cable) not in paired:
            yield Difference("extra", f"{cable.told()}, {cable.gbps:g} Gb/s", (), (cable.told(),))


def _moved(missing: list[_Cable], extra: list[_Cable], by_port: bool) -> list[tuple[_End, _Cable, _Cable]]:
    """Return missing and extra cables that share an end: a NIC, then a switch port, then a switch."""
    moved: list[tuple[_End, _Cable, _Cable]] = []
    taken: set[int] = set()
    for step in ("nic", "port", "switch"):
        if step == "port" and not by_port:
            continue
        open_: dict[object, list[_Cable]] = defaultdict(list)
        for cable in reversed(extra):
            if id(cable) not in taken:
                for key in _keys(cable, step):
                    open_[key].append(cable)
        for cable in missing:
            if id(cable) in taken:
                continue
            for key in _keys(cable, step):
                candidates = [c for c in open_.get(key, []) if id(c) not in taken]
                if candidates:
                    partner = candidates[-1]
                    taken |= {id(cable), id(partner)}
                    moved.append((key[0], cable, partner))
                    break
    return moved


def _keys(cable: _Cable, step: str) -> Iterator[tuple[_End, str]]:
    for end, port in zip(cable.ends, cable.ports, strict=True):
        if (step == "nic" and end[1] >= 0) or (step == "port" and end[1] < 0 and port):
            yield end, port
        elif step == "switch" and end[1] < 0 and cable.ends[0][1] < 0:
            yield end, ""
