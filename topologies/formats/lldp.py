"""LLDP neighbours as ``lldpctl -f json`` (and ``json0``) prints them: a file a device, named after it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.files.document import describe
from topologies.formats.cabling import Cable, Cabling, rate_in_words
from topologies.formats.ports import CablePorts, numbered_ports
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.source import Source

__all__ = ["LldpFormat"]

_SAFE = re.compile(r"[A-Za-z0-9][\w-]{0,200}", re.ASCII)
_MEGABIT = re.compile(r"(\d{3,7})base", re.IGNORECASE)
_SUFFIXES = (".lldp", ".lldpctl", "_lldp", "-lldp")


class LldpFormat(BaseFormat):
    """Registers ``lldp``."""

    name = "lldp"
    summary = "LLDP neighbours as lldpctl -f json prints them, a file a device, named after it"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for the key that holds everything."""
        return 95 if source.is_json and re.match(r'\s*\{\s*"lldp"\s*:', source.head) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of the devices' files; see `FabricFormat.read`."""
        first = sources[0]
        name = first.stem if len(sources) == 1 else "lldp"
        cabling = Cabling(name, self.name, first, drops_host_pairs=True)
        known: dict[tuple[str, str], tuple[str, str, Source]] = {}
        seen: dict[str, Source] = {}
        entries = [(_device(source), source, entry) for source in sources for entry in _interfaces(source)]
        for source in sources:
            device = _device(source)
            if device in seen:
                raise source.error(None, what=f"two files of {device}", found=seen[device].name, fix="give one")
            seen[device] = source
        shorten = _shortener({entry[1] for _, _, entry in entries} | set(seen))
        for own, source, (port, other, other_port, rate, bridges) in entries:
            a, b = (shorten(own), port), (shorten(other), other_port)
            cabling.bridges[b[0]] = cabling.bridges.get(b[0], False) or bridges
            if a == b:
                raise source.error(None, what="a port that is its own neighbour", found=f"{port} of {own}")
            if known.get(a, (*b, source))[:2] == b and known.get(b, (*a, source))[:2] == a:
                if a not in known:
                    cabling.cables.append(Cable(*a, *b, rate))
                known[a], known[b] = (*b, source), (*a, source)
                continue
            end = a if known.get(a, (*b, source))[:2] != b else b
            raise source.error(
                None,
                what="a port has two neighbours",
                found=f"{end[1]} of {end[0]}: {' '.join(known[end][1::-1])}, by {known[end][2].name}",
                fix="run lldpctl on all devices again, at one time",
            )
        cabling.guesses.append("each file is of the device it is named after")
        return cabling.build(options)

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return a file for each device."""
        labels = ports if ports and ports.are_given else numbered_ports(fabric)
        entries: dict[str, list[dict[str, Any]]] = {}
        names = _file_names(fabric)
        for link in range(fabric.num_links):
            if fabric.link_kind[link] != LinkKind.SCALE_OUT:
                continue
            own, far = labels.at(link)
            device, port = _end(fabric, int(fabric.link_source[link]), own)
            other, other_port = _end(fabric, int(fabric.link_target[link]), far)
            device, other = names.get(device, device), names.get(other, other)
            entries.setdefault(device, []).append({port: _entry(other, other_port, len(entries) + 1)})
        files = {
            f"{device}.json": json.dumps({"lldp": {"interface": found}}, indent=2, ensure_ascii=False) + "\n"
            for device, found in entries.items()
        }
        losses = ["accelerators, scale-up links and parts", "rates and latencies", "rails and racks"]
        if names:
            losses.append(f"{len(names)} names that make no file name, first {next(iter(names))!r}")
        return Exported("", tuple(losses), files)


def _file_names(fabric: Fabric) -> dict[str, str]:
    """Return other names for the devices whose own make no file name, or would be shortened when read."""
    switches = np.flatnonzero(fabric.node_kind == NodeKind.SWITCH).tolist()
    devices = [*fabric.host_names, *(fabric.node_names[node] for node in switches)]
    taken = {name for name in devices if _SAFE.fullmatch(name)}
    changed: dict[str, str] = {}
    for name in devices:
        if name in taken or name in changed:
            continue
        base = re.sub(r"[^\w-]", "-", name, flags=re.ASCII).strip("-")[:200] or "device"
        made, i = base, 1
        while made in taken:
            i += 1
            made = f"{base}-{i}"
        taken.add(made)
        changed[name] = made
    return changed


def _end(fabric: Fabric, node: int, label: str) -> tuple[str, str]:
    """Return device and port of an end: the NIC's name for a host, with the port where it has several cables."""
    first = fabric.num_accelerators
    if node < first + fabric.num_nics:
        host = fabric.host_names[int(fabric.nic_host[node - first])]
        name = fabric.node_names[node].removeprefix(f"{host}/")
        return host, f"{name}/p{label}" if label.isdecimal() and int(label) > 1 else name
    return fabric.node_names[node], f"swp{label}" if label.isdecimal() else label


def _entry(device: str, port: str, rid: int) -> dict[str, Any]:
    return {
        "via": "LLDP",
        "rid": str(rid),
        "age": "0 day, 00:00:00",
        "chassis": {device: {"id": {"type": "local", "value": device}}},
        "port": {"id": {"type": "ifname", "value": port}, "descr": port},
    }


def _device(source: Source) -> str:
    stem = source.stem
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    return stem or "device"


def _shortener(names: set[str]) -> Any:
    """Return what shortens names to their first label, if they stay distinct; files and neighbours differ in that."""

    def short(name: str) -> str:
        label = name.partition(".")[0]
        return name if re.fullmatch(r"[\d.:a-fA-F]*", name) or not label else label

    full: dict[str, set[str]] = {}
    for name in names:
        full.setdefault(short(name), set()).add(name)
    clash = {key for key, members in full.items() if len({m for m in members if m != key}) > 1}
    return lambda name: name if short(name) in clash else short(name)


Neighbour = tuple[str, str, str, float | None, bool]


def _interfaces(source: Source) -> Iterator[Neighbour]:
    """Yield own port, neighbour, its port, rate and whether it bridges, of a file in either form."""
    root = source.document.root
    lldp = root.get("lldp") if isinstance(root, dict) else None
    for part in lldp if isinstance(lldp, list) else [lldp]:
        if not isinstance(part, dict):
            raise source.error(1, what="lldp holds no object", found=describe(part))
        found = part.get("interface", [])
        for entry in found if isinstance(found, list) else [found]:
            if not isinstance(entry, dict):
                raise source.error(1, what="not an interface", found=describe(entry))
            if isinstance(entry.get("name"), str):
                yield _neighbour(source, entry["name"], entry)
                continue
            for name, data in entry.items():
                for one in data if isinstance(data, list) else [data]:
                    yield _neighbour(source, name, one)


def _neighbour(source: Source, name: str, data: object) -> Neighbour:
    chassis = _only(data.get("chassis")) if isinstance(data, dict) else None
    port = _only(data.get("port")) if isinstance(data, dict) else None
    if not isinstance(chassis, dict) or not isinstance(port, dict):
        raise source.error(
            1, what="an interface without chassis and port", found=f"{name}: {describe(data)}",
            fix="give the whole output of lldpctl -f json",
        )  # fmt: skip
    device = _text(chassis.get("name"))
    if not device and "id" not in chassis and len(chassis) == 1:
        device, chassis = next(iter(chassis.items()))
        chassis = chassis if isinstance(chassis, dict) else {}
    device = device or _text(chassis.get("id"))
    port_id, descr = _only(port.get("id")), _text(port.get("descr"))
    kind = port_id.get("type") if isinstance(port_id, dict) else ""
    label = _text(port.get("id"))
    if descr and kind not in ("ifname", "local"):
        label = descr
    if not device or not label:
        raise source.error(1, what="a neighbour without a name", found=f"behind {name}")
    current = port.get("auto-negotiation")
    return name, device, label, _rate(_only(current)), _bridges(chassis.get("capability"))


def _only(value: object) -> Any:
    """Return the one entry of a list, as json0 has lists of one; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _text(value: object) -> str:
    value = _only(value)
    if isinstance(value, dict):
        value = value.get("value")
    return value.strip() if isinstance(value, str) else ""


def _rate(negotiation: object) -> float | None:
    """Return the rate of ``10GbaseT - …`` or ``1000BaseTFD - …``, bytes/s; None where none is told."""
    current = _text(negotiation.get("current")) if isinstance(negotiation, dict) else ""
    word = current.partition(" ")[0]
    megabit = _MEGABIT.match(word)
    return rate_in_words(f"{int(megabit[1]) / 1000:g}G") if megabit else rate_in_words(word)


def _bridges(capability: object) -> bool:
    entries = capability if isinstance(capability, list) else [capability]
    return any(
        isinstance(entry, dict) and entry.get("type") in ("Bridge", "Router") and entry.get("enabled") is True
        for entry in entries
    )
