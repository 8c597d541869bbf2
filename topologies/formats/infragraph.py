"""InfraGraph (Keysight): infrastructure as devices, instances and edges, of schema 2 and later."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np

from topologies.builder import FabricBuilder
from topologies.fabric import Fabric
from topologies.formats.hosts import ASSUMED_SCALE_UP_GB_PER_S, accelerator_part
from topologies.formats.infragraph_document import Device, Edge, Element, Link, Model, load_model
from topologies.formats.infragraph_text import infragraph_text
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.source import Source, only_one
from topologies.formats.wiring import built
from topologies.kinds.hosts import HOST_LATENCY_US, LINK_LATENCY_US, SCALE_UP_LATENCY_US
from topologies.parts import Part
from topologies.units import from_gb_per_s, from_gbps, from_us

__all__ = ["InfragraphFormat"]

ASSUMED_GBPS = 400.0
"""Rate of a link of the network that does not say, 10⁹ bit/s. Source: NVIDIA DGX SuperPOD H100 reference architecture
RA-11333-001 (2023), a NIC of 8-GPU hosts."""


class InfragraphFormat(BaseFormat):
    """Registers ``infragraph``."""

    name = "infragraph"
    summary = "InfraGraph of Keysight, schema 2 and later, YAML or JSON"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for the keys that every infrastructure has."""
        head = source.head
        if source.is_json:
            return 90 if '"devices"' in head and ('"components"' in head or '"instances"' in head) else 0
        is_one = re.search(r"^(infrastructure:\s*\n\s+)?(devices|instances):", head, re.MULTILINE)
        return 90 if is_one and re.search(r"^\s*(-\s+)?(components|ep1|connections)\s*:", head, re.MULTILINE) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of one file; see `FabricFormat.read`."""
        source = only_one(sources, "two infrastructures")
        return _Builder(load_model(source.document), source, options).build()

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return the fabric as YAML, each host and switch an instance of its own name."""
        return infragraph_text(fabric, ports)


class _Inside:
    """What a device with accelerators looks like inside."""

    def __init__(self, model: Model, device: Device, nics: set[Element]) -> None:
        elements = list(model.elements(device))
        self.accelerators = [element for element, kind in elements if kind == "xpu"]
        order = {element[:1]: i for i, (element, _) in reversed(list(enumerate(elements)))}
        self.nics = sorted(nics, key=lambda nic: (order.get(nic, 0), nic))
        kind_of = dict(elements)
        self.place = {element: i for i, element in enumerate(self.accelerators)}
        edges = [(self.part(e.a), self.part(e.b), e, links) for e, links in model.inner_edges(device)]
        touches: dict[str, set[str]] = {}
        for a, b, edge, _ in edges:
            for end, whole in ((a, edge.a), (b, edge.b)):
                touches.setdefault(edge.link, set()).add("nic" if end in nics else kind_of.get(whole, ""))
        is_scale_up = {name: "xpu" in kinds <= {"xpu", "switch", "custom"} for name, kinds in touches.items()}
        self.scale_up: list[tuple[Element, Element, Link]] = []
        near: dict[Element, list[tuple[Element, Link]]] = {}
        for a, b, edge, links in edges:
            link = links.get(edge.link, Link(edge.link))
            if is_scale_up[edge.link]:
                self.scale_up.append((a, b, link))
            elif a != b:
                near.setdefault(a, []).append((b, link))
                near.setdefault(b, []).append((a, link))
        self.switches = list(dict.fromkeys(end for a, b, _ in self.scale_up for end in (a, b) if end not in self.place))
        self.near = self._nearest(near)

    def part(self, element: Element) -> Element:
        """Return what stands for an element: an accelerator itself, else the component of the host it belongs to."""
        return element if element in self.place else element[:1]

    def _nearest(self, near: dict[Element, list[tuple[Element, Link]]]) -> list[tuple[int, int, Link]]:
        """Return ``(accelerator, nic, link)``: those wired to each other, else the fewest edges away, dealt evenly."""
        wanted = {nic: i for i, nic in enumerate(self.nics)}
        direct = [
            (self.place[a], wanted[b], link)
            for a, others in near.items()
            if a in self.place
            for b, link in others
            if b in wanted
        ]
        if direct or not wanted:
            return direct
        load = [0] * len(wanted)
        found = []
        for accelerator, i in self.place.items():
            hops = _hops(near, accelerator)
            far = len(near) + 1
            fewest = min(hops.get(nic, far) for nic in self.nics)
            ties = [n for n, nic in enumerate(self.nics) if hops.get(nic, far) == fewest]
            best = min(ties, key=lambda n: (load[n], n))
            load[best] += 1
            found.append((i, best, Link("")))
        for n, nic in enumerate(self.nics):
            if not load[n]:
                hops = _hops(near, nic)
                far = len(near) + 1
                found.append(
                    (min(self.place.values(), key=lambda i: (hops.get(self.accelerators[i], far), i)), n, Link(""))
                )
        return found


def _hops(near: dict[Element, list[tuple[Element, Link]]], start: Element) -> dict[Element, int]:
    hops = {start: 0}
    waiting = deque([start])
    while waiting:
        at = waiting.popleft()
        for other, _ in near.get(at, ()):
            if other not in hops:
                hops[other] = hops[at] + 1
                waiting.append(other)
    return hops


class _Builder:
    def __init__(self, model: Model, source: Source, options: ReadOptions) -> None:
        self.model = model
        self.source = source
        self.options = options
        self.guesses: list[str] = []
        self.left_out: list[str] = []
        self.unknown_rates: Counter[str] = Counter()
        self.no_latency: set[str] = set()
        self.ids: dict[tuple[str, Element], int] = {}
        self.cables: list[tuple[int, int, float, float, str, str]] = []
        self.near: dict[tuple[str, Element], list[tuple[Element, Link]]] = {}

    def build(self) -> Imported:
        model = self.model
        kinds = {name: self._kind(device) for name, device in model.devices.items()}
        kind_of = {name: kinds[instance.device.name] for name, instance in model.instances.items()}
        edges, gone = [], 0
        for edge in _distinct(model.edges):
            if "plain host" in (kind_of[edge.a[0][0]], kind_of[edge.b[0][0]]):
                gone += 1
            else:
                edges.append(edge)
        if gone:
            self.left_out.append(f"{gone} edges of devices with NICs and without accelerators")
        self.builder = FabricBuilder(
            self.options.name or model.name or self.source.stem,
            description=model.description or f"InfraGraph, from {self.source.name}.",
        )
        nics: dict[tuple[str, int], set[Element]] = {}
        scale_up: set[tuple[str, int]] = set()
        for edge in edges:
            for end, other in ((edge.a, edge.b), (edge.b, edge.a)):
                if kind_of[end[0][0]] != "host":
                    continue
                device = model.instances[end[0][0]].device
                if model.choice_of(device, end[1:]) != "xpu":
                    nics.setdefault(end[0], set()).add(end[1:2])
                elif kind_of[other[0][0]] == "switch":
                    scale_up.add(other[0])
        self._add_hosts(kind_of, nics)
        used = {end[0] for edge in edges for end in (edge.a, edge.b)}
        switches = [
            (name, i) for name, it in model.instances.items() if kind_of[name] == "switch" for i in range(it.count)
        ]
        for name, i in switches:
            if (name, i) in used:
                self._add_switch(name, i, (name, i) in scale_up)
        if len(used & set(switches)) < len(switches):
            self.left_out.append(f"{len(switches) - len(used & set(switches))} switches without an edge")
        for edge in edges:
            self._add_edge(edge, kind_of)
        return self._finish()

    def _kind(self, device: Device) -> str:
        kinds = {kind for _, kind in self.model.elements(device)}
        if "xpu" in kinds:
            return "host"
        return "plain host" if "nic" in kinds else "switch"

    # ---- nodes ----

    def _name(self, instance: str, i: int) -> str:
        return instance if self.model.instances[instance].count == 1 else f"{instance}.{i}"

    def _label(self, device: Device, element: Element) -> str:
        """Return the name of an element within its device: with its number where there are several."""
        words = []
        for name, i in element:
            words.append(name if device.count[name] == 1 else f"{name}{i}")
            if device.choice[name] == "device":
                device = self.model.devices[name]
        return "-".join(words)

    def _add_hosts(self, kind_of: dict[str, str], nics: dict[tuple[str, int], set[Element]]) -> None:
        inside: dict[tuple[str, frozenset[Element]], _Inside] = {}
        part = accelerator_part(self.options)
        without = 0
        for name, instance in self.model.instances.items():
            if kind_of[name] != "host":
                continue
            for i in range(instance.count):
                own = nics.get((name, i), set())
                without += not own
                key = instance.device.name, frozenset(own)
                if key not in inside:
                    inside[key] = _Inside(self.model, instance.device, own)
                self._add_host(name, i, instance.device, inside[key], part)
        if nics:
            self.guesses.append("NIC i of a host is on rail i")
        if without and nics:
            self.left_out.append(f"the NICs of {without} hosts, which have no edge")

    def _add_host(self, name: str, i: int, device: Device, inside: _Inside, part: Part | None) -> None:
        host = self._name(name, i)
        block = self.builder.add_hosts(
            [host],
            accelerators=len(inside.accelerators),
            part=part,
            nics=len(inside.nics),
            accelerator_labels=[self._label(device, element) for element in inside.accelerators],
            nic_labels=[self._label(device, element) for element in inside.nics],
            host_links=False,
        )
        for ids, elements in ((block.accelerator[0], inside.accelerators), (block.nic[0], inside.nics)):
            for node, element in zip(ids.tolist(), elements, strict=True):
                self.ids[f"{name}.{i}", element] = node
        for element in inside.switches:
            node = self.builder.add_switch(f"{host}/{self._label(device, element)}", scale_up=True)
            self.ids[f"{name}.{i}", element] = node
        count = Counter(end for a, b, _ in inside.scale_up for end in (a, b))
        for a, b, link in inside.scale_up:
            most = max(count[a] if a in inside.place else 0, count[b] if b in inside.place else 0, 1)
            rate = link.rate_bytes_per_s or self._scale_up_rate(part) / most
            if link.rate_bytes_per_s is None:
                self.unknown_rates[f"scale-up links of {device.name}"] += 1
            is_direct = a in inside.place and b in inside.place
            latency = self._latency(link, SCALE_UP_LATENCY_US if is_direct else SCALE_UP_LATENCY_US / 2)
            self._cable(name, i, a, b, rate, latency)
        for accelerator, nic, link in inside.near:
            ends = (inside.accelerators[accelerator], inside.nics[nic])
            self.near.setdefault((f"{name}.{i}", ends[1]), []).append((ends[0], link))

    def _scale_up_rate(self, part: object) -> float:
        number = getattr(part, "number", None)
        found = number("scale_up_bytes_per_s", 0.0) if number else 0.0
        return float(found) or from_gb_per_s(ASSUMED_SCALE_UP_GB_PER_S)

    def _cable(self, name: str, i: int, a: Element, b: Element, rate: float, latency_s: float) -> None:
        key = f"{name}.{i}"
        self.cables.append((self.ids[key, a], self.ids[key, b], rate, latency_s, "", ""))

    def _add_switch(self, name: str, i: int, is_scale_up: bool) -> None:
        self.ids[f"{name}.{i}", ()] = self.builder.add_switch(self._name(name, i), scale_up=is_scale_up)

    # ---- edges between instances ----

    def _add_edge(self, edge: Edge, kind_of: dict[str, str]) -> None:
        link = self.model.links.get(edge.link, Link(edge.link))
        ends = []
        for end in (edge.a, edge.b):
            name, i = end[0]
            key = f"{name}.{i}"
            if kind_of[name] == "switch":
                device = self.model.instances[name].device
                ends.append((self.ids[key, ()], self._label(device, end[1:]), "switch"))
            elif (key, end[1:]) in self.ids:
                what = "xpu" if self.model.choice_of(self.model.instances[name].device, end[1:]) == "xpu" else "nic"
                ends.append((self.ids[key, end[1:]], "", what))
            else:
                ends.append((self.ids[key, end[1:2]], "", "nic"))
        kinds = {ends[0][2], ends[1][2]}
        if kinds == {"nic"} or kinds == {"nic", "xpu"}:
            raise self.model.document.error(
                edge.key, what="an edge joins two hosts by a NIC", found=edge.link, allowed="a switch between"
            )
        is_scale_up = "xpu" in kinds
        rate = link.rate_bytes_per_s
        if rate is None or rate <= 0:
            told = self.options.nic_gbps if "nic" in kinds else self.options.uplink_gbps or self.options.nic_gbps
            rate = from_gbps(told or ASSUMED_GBPS)
            self.unknown_rates[f"link {edge.link or 'without a name'}"] += 1
        default = SCALE_UP_LATENCY_US / 2 if is_scale_up else LINK_LATENCY_US["Ethernet"]
        self.cables.append((ends[0][0], ends[1][0], rate, self._latency(link, default), ends[0][1], ends[1][1]))

    def _latency(self, link: Link, default_us: float) -> float:
        if link.latency_s is None:
            self.no_latency.add(link.name)
            return from_us(default_us)
        return link.latency_s

    def _finish(self) -> Imported:
        """Add the links between accelerators and NICs, as fast as the NIC where nothing says, and build."""
        total: dict[int, float] = {}
        for a, b, rate, *_ in self.cables:
            for end in (a, b):
                total[end] = total.get(end, 0.0) + rate
        inner = []
        assumed = 0
        for (key, nic), others in self.near.items():
            node = self.ids[key, nic]
            for accelerator, link in others:
                assumed += link.rate_bytes_per_s is None
                rate = link.rate_bytes_per_s or total.get(node, from_gbps(ASSUMED_GBPS))
                latency = self._latency(link, HOST_LATENCY_US["Ethernet"])
                inner.append((self.ids[key, accelerator], node, rate, latency, "", ""))
        if assumed:
            self.guesses.append("accelerators reach their NICs at the NIC's rate; each the nearest by edges")
        for what, count in self.unknown_rates.items():
            told = "by the part or NVLink 4" if what.startswith("scale-up") else f"{ASSUMED_GBPS:g} Gb/s, or as told"
            self.guesses.append(f"{count} × {what} without a bandwidth: {told}")
        if self.no_latency:
            self.guesses.append("latencies that are not stated are those measured on H800 hosts (arXiv:2505.09343)")
        self.builder.assumptions += self.guesses
        cables = inner + self.cables
        if cables:
            table = np.array([(a, b) for a, b, *_ in cables], np.int64)
            self.builder.add_cables(
                table[:, 0],
                table[:, 1],
                rate_bytes_per_s=[c[2] for c in cables],
                latency_s=[c[3] for c in cables],
            )
        fabric = built(self.builder, self.source.name)
        ports = CablePorts([c[4] for c in cables], [c[5] for c in cables])
        return Imported(fabric, "infragraph", tuple(self.guesses), tuple(self.left_out), ports)


def _distinct(edges: list[Edge]) -> list[Edge]:
    """Return edges without those that join the same two elements again."""
    seen: set[frozenset[Element]] = set()
    kept = []
    for edge in edges:
        key = frozenset((edge.a, edge.b))
        if key not in seen:
            seen.add(key)
            kept.append(edge)
    return kept
