"""InfraGraph documents: devices with components, instances of them, and edges in slice notation, expanded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from topologies.errors import InputError
from topologies.files.document import Document, describe
from topologies.units import from_gb_per_s, from_gbps, from_ns, from_us

__all__ = ["MAX_EXPANDED", "Device", "Edge", "Instance", "Link", "Model", "load_model"]

MAX_EXPANDED = 4_000_000
"""Most nodes, and most edges, that a document may stand for."""

_SEGMENT = re.compile(r"([^\[\]]{1,1000}?)(?:\[([^\[\]]*)\])?")
_SLICE = re.compile(r"(-?\d{1,9})?(?::(-?\d{1,9})?(?::(-?\d{1,9})?)?)?")
_XPU = ("xpu", "npu")  # the name of an accelerator until 2025, and since
Path = tuple[str | int, ...]
Element = tuple[tuple[str, int], ...]
"""A component by names and indices, of devices within devices."""


@dataclass(frozen=True)
class Link:
    """A link type; None where it says nothing."""

    name: str
    rate_bytes_per_s: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True)
class Edge:
    """An expanded edge: ends, its link and where it stands."""

    a: Element
    b: Element
    link: str
    key: Path


@dataclass
class Device:
    """A device type with everything expanded."""

    name: str
    count: dict[str, int] = field(default_factory=dict)
    choice: dict[str, str] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    key: Path = ()


@dataclass(frozen=True)
class Instance:
    """So many devices of one type under one name."""

    name: str
    device: Device
    count: int


@dataclass
class Model:
    """A whole document; the ends of `edges` begin with the instance and its index."""

    document: Document
    name: str
    description: str
    devices: dict[str, Device] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def choice_of(self, device: Device, element: Element) -> str:
        """Return the kind of an element of a device."""
        for name, _ in element[:-1]:
            device = self.devices[name]
        return device.choice[element[-1][0]]

    def elements(self, device: Device) -> Iterator[tuple[Element, str]]:
        """Yield the elements of a device with their kinds, those of devices within it too."""
        for name, count in device.count.items():
            for i in range(count):
                if device.choice[name] == "device":
                    for below, kind in self.elements(self.devices[name]):
                        yield ((name, i), *below), kind
                else:
                    yield ((name, i),), device.choice[name]

    def inner_edges(self, device: Device) -> Iterator[tuple[Edge, dict[str, Link]]]:
        """Yield the edges inside a device and inside the devices within it, with the links they name."""
        for edge in device.edges:
            yield edge, device.links
        for name, count in device.count.items():
            if device.choice[name] == "device":
                for i in range(count):
                    for edge, links in self.inner_edges(self.devices[name]):
                        yield Edge(((name, i), *edge.a), ((name, i), *edge.b), edge.link, edge.key), links


class _Loader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.expanded = 0

    def fault(self, key: Path, what: str, found: object = "", allowed: object = "", fix: object = "") -> InputError:
        return self.document.error(key, what=what, found=found, allowed=allowed, fix=fix)

    def items(self, root: dict[str, Any], key: str, at: Path, needed: tuple[str, ...]) -> Iterator[tuple[Path, Any]]:
        rows = root.get(key)
        if rows is None:
            return
        if not isinstance(rows, list):
            raise self.fault((*at, key), f"{key} is not a list", describe(rows))
        for i, row in enumerate(rows):
            path = (*at, key, i)
            missing = next((k for k in needed if not isinstance(row, dict) or k not in row), None)
            if missing is not None:
                raise self.fault(path, f"no {missing}", describe(row), ", ".join(needed))
            for k in needed:
                if k in ("name", "device", "choice", "link") and not isinstance(row[k], str):
                    raise self.fault((*path, k), f"{k} is not text", describe(row[k]))
                if k == "count" and (type(row[k]) is not int or not 0 <= row[k] <= MAX_EXPANDED):
                    raise self.fault((*path, k), "not a count", describe(row[k]), f"0 to {MAX_EXPANDED}")
            yield path, row

    def links(self, root: dict[str, Any], at: Path) -> dict[str, Link]:
        found = {}
        for path, row in self.items(root, "links", at, ("name",)):
            physical = row.get("physical") or {}
            if not isinstance(physical, dict):
                raise self.fault((*path, "physical"), "physical is not a mapping", describe(physical))
            rate = self.quantity(physical.get("bandwidth"), (*path, "physical", "bandwidth"))
            latency = self.quantity(physical.get("latency"), (*path, "physical", "latency"))
            found[row["name"]] = Link(row["name"], rate, latency)
        return found

    def quantity(self, value: object, path: Path) -> float | None:
        """Return bytes/s or seconds of ``{choice: unit, unit: number}``."""
        if value is None:
            return None
        units: dict[str, Any] = {
            "gigabits_per_second": from_gbps,
            "gigabytes_per_second": from_gb_per_s,
            "gigatransfers_per_second": None,
            "ms": lambda v: from_us(1e3 * v),
            "us": from_us,
            "ns": from_ns,
        }
        given = [k for k in units if isinstance(value, dict) and k in value]
        chosen = value.get("choice", given[0] if len(given) == 1 else None) if isinstance(value, dict) else None
        if chosen not in units or not isinstance(value, dict):
            raise self.fault(path, "not a quantity", describe(value), ", ".join(units))
        number = value.get(chosen)
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 1e12:
            raise self.fault((*path, chosen), "not a number of it", describe(number))
        convert = units[chosen]
        return None if convert is None else float(convert(float(number)))

    # ---- endpoints ----

    def pick(self, text: str, count: int, path: Path) -> tuple[str, list[int]]:
        """Return name and indices of ``name``, ``name[3]`` or ``name[0:4:2]``."""
        match = _SEGMENT.fullmatch(text.strip())
        inside = _SLICE.fullmatch(match[2].strip()) if match and match[2] is not None else None
        if match is None or (match[2] is not None and inside is None):
            raise self.fault(path, "not an endpoint", repr(text[:80]), "as nic[0:2]")
        if inside is None or (":" not in inside[0] and not inside[1]):
            return match[1], list(range(count))
        if ":" not in inside[0]:
            i = int(inside[1])
            if not -count <= i < count:
                raise self.fault(path, "no such index", text[:80], f"0 to {count - 1}")
            return match[1], [i % count]
        if inside[3] is not None and int(inside[3]) == 0:
            raise self.fault(path, "a step of 0", text[:80])
        start, stop, step = (None if g is None else int(g) for g in inside.groups())
        if max(start or 0, stop or 0) > count:
            raise self.fault(path, "a slice beyond the end", text[:80], f"0 to {count}")
        return match[1], list(range(*slice(start, stop, step).indices(count)))

    def elements(self, model: Model, device: Device, text: object, path: Path) -> list[Element]:
        """Return the elements that ``cx5[0:2].port[0]`` stands for, of a device."""
        if not isinstance(text, str) or not text or len(text) > 10_000:
            raise self.fault(path, "not an endpoint", describe(text), "as nic[0:2]")
        rows: list[list[tuple[str, int]]] = []
        at = device
        for piece in text.split("."):
            name = piece.split("[")[0].strip()
            if name not in at.count:
                raise self.fault(
                    path, f"device {at.name} has no component {name[:80]!r}", text[:80], ", ".join(at.count)[:200]
                )
            _, indices = self.pick(piece, at.count[name], path)
            rows.append([(name, i) for i in indices])
            if at.choice[name] == "device":
                at = model.devices[name]
        self.grow(len(rows[0]) if len(rows) == 1 else _product(rows), path)
        return list(product(*rows))

    def grow(self, by: int, path: Path) -> None:
        self.expanded += by
        if self.expanded > MAX_EXPANDED:
            raise self.fault(
                path, "the document stands for too much", f"over {self.expanded}", f"at most {MAX_EXPANDED}"
            )

    def paired(self, row: dict[str, Any], a: list[Element], b: list[Element], path: Path) -> Iterator[Edge]:
        scheme = row.get("scheme", "one2one")
        if scheme not in ("one2one", "many2many"):
            raise self.fault((*path, "scheme"), "a scheme that is not read", describe(scheme), "one2one, many2many")
        self.grow(min(len(a), len(b)) if scheme == "one2one" else len(a) * len(b), path)
        pairs = zip(a, b, strict=False) if scheme == "one2one" else product(a, b)
        link = row.get("link", "")
        for x, y in pairs:
            if x != y:
                yield Edge(x, y, str(link), path)

    # ---- the whole ----

    def load(self) -> Model:
        root = self.document.root
        at: Path = ()
        if isinstance(root, dict) and isinstance(root.get("infrastructure"), dict):
            root, at = root["infrastructure"], ("infrastructure",)
        if not isinstance(root, dict) or not isinstance(root.get("devices"), list):
            raise self.fault(at, "not an InfraGraph", describe(root), "devices, instances, links, edges")
        model = Model(self.document, str(root.get("name") or ""), str(root.get("description") or ""))
        model.links = self.links(root, at)
        rows = list(self.items(root, "devices", at, ("name",)))
        for path, row in rows:
            if "connections" in row or "connections" in root:
                raise self.fault(
                    path,
                    "a file of InfraGraph's first schema",
                    "connections",
                    "edges",
                    "write it again with a later one",
                )
            device = Device(row["name"], links=self.links(row, path), key=path)
            for part_path, part in self.items(row, "components", path, ("name", "count", "choice")):
                if part["name"] in device.count:
                    raise self.fault(part_path, f"two components of one name: {part['name'][:80]}")
                device.count[part["name"]] = part["count"]
                device.choice[part["name"]] = "xpu" if part["choice"] in _XPU else part["choice"]
            if device.name in model.devices:
                raise self.fault(path, f"two devices of one name: {device.name[:80]}")
            model.devices[device.name] = device
        self.check_nesting(model)
        for path, row in rows:
            device = model.devices[row["name"]]
            for edge_path, edge in self.items(row, "edges", path, ("ep1", "ep2")):
                ends = []
                for side in ("ep1", "ep2"):
                    end, end_path = edge[side], (*edge_path, side)
                    if not isinstance(end, dict):
                        raise self.fault(end_path, "not an endpoint", describe(end), "component: nic[0:2]")
                    prefix = end.get("device")
                    text = f"{prefix}.{end.get('component')}" if prefix else end.get("component")
                    ends.append(self.elements(model, device, text, (*end_path, "component")))
                device.edges += self.paired(edge, ends[0], ends[1], edge_path)
        for path, row in self.items(root, "instances", at, ("name", "device", "count")):
            if row["device"] not in model.devices:
                raise self.fault(
                    (*path, "device"), "no such device", row["device"][:80], ", ".join(model.devices)[:200]
                )
            if row["name"] in model.instances:
                raise self.fault(path, f"two instances of one name: {row['name'][:80]}")
            device = model.devices[row["device"]]
            self.grow(row["count"] * max(1, sum(device.count.values())), path)
            model.instances[row["name"]] = Instance(row["name"], device, row["count"])
        for path, row in self.items(root, "edges", at, ("ep1", "ep2")):
            ends = [self.of_instances(model, row[side], (*path, side)) for side in ("ep1", "ep2")]
            model.edges += self.paired(row, ends[0], ends[1], path)
        return model

    def of_instances(self, model: Model, end: object, path: Path) -> list[Element]:
        name = end.get("instance") if isinstance(end, dict) else None
        if not isinstance(end, dict) or not isinstance(name, str):
            raise self.fault(path, "not an endpoint", describe(end), "instance: host[0], component: nic[0:2]")
        instance = model.instances.get(name.split("[")[0].strip())
        if instance is None:
            raise self.fault((*path, "instance"), "no such instance", name[:80], ", ".join(model.instances)[:200])
        _, indices = self.pick(name, instance.count, (*path, "instance"))
        inside = self.elements(model, instance.device, end.get("component"), (*path, "component"))
        self.grow(len(indices) * len(inside), path)
        return [((instance.name, i), *element) for i in indices for element in inside]

    def check_nesting(self, model: Model) -> None:
        """Refuse devices that contain themselves, that are not there, or that are nested too deeply."""

        def size(device: Device, above: tuple[str, ...]) -> int:
            if device.name in above or len(above) > 20:
                raise self.fault(device.key, f"device {device.name[:80]} contains itself, or is nested too deeply")
            total = 0
            for name, count in device.count.items():
                if device.choice[name] != "device":
                    total += count
                    continue
                if name not in model.devices:
                    raise self.fault(
                        device.key, f"no such device: {name[:80]}", fix="a component of choice device names one"
                    )
                total += count * size(model.devices[name], (*above, device.name))
                if total > MAX_EXPANDED:
                    raise self.fault(
                        device.key, "the device is too large", allowed=f"at most {MAX_EXPANDED} components"
                    )
            return total

        for device in model.devices.values():
            size(device, ())


def _product(rows: list[list[tuple[str, int]]]) -> int:
    total = 1
    for row in rows:
        total *= len(row)
    return total


def load_model(document: Document) -> Model:
    """Return what a document says, with every edge expanded.

    Raises
    ------
    InputError
        Naming the line and key.
    """
    return _Loader(document).load()
