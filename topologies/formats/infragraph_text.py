"""A fabric as an InfraGraph document: a device for each kind of host and switch, an instance for each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from topologies.errors import InputError
from topologies.fabric import Fabric, NodeKind
from topologies.formats.ports import CablePorts, host_of_node, numbered_ports
from topologies.formats.registry import Exported
from topologies.units import to_gbps

__all__ = ["infragraph_text"]

_BAD = re.compile(r"[^\w()><-]", re.ASCII)
_NUMBERED = re.compile(r"(.*?)(\d+)")
_NS_A_S = 1e9


def infragraph_text(fabric: Fabric, ports: CablePorts | None) -> Exported:
    """Return the document as YAML.

    Raises
    ------
    InputError
        If the fabric has nothing to connect.
    """
    return _Writer(fabric, ports or numbered_ports(fabric)).text()


@dataclass
class _Kind:
    """A device: components ``(name, count, choice)`` and edges ``(a, b, link)``."""

    name: str
    components: list[tuple[str, int, str]]
    edges: list[tuple[str, str, str]] = field(default_factory=list)


class _Writer:
    def __init__(self, fabric: Fabric, ports: CablePorts) -> None:
        self.fabric = fabric
        self.ports = ports
        self.links: dict[tuple[float, float], str] = {}
        self.kinds: dict[str, _Kind] = {}
        self.instance: dict[int, str] = {}  # of each node outside hosts, by node; hosts by −1 − host
        self.component: dict[int, str] = {}
        self.changed: list[str] = []
        self.taken: set[str] = set()
        self.uneven = 0
        self.nic_order = np.argsort(fabric.nic_host, kind="stable")
        self.nic_bounds = np.searchsorted(fabric.nic_host[self.nic_order], np.arange(fabric.num_hosts + 1))

    def _named(self, name: str) -> str:
        """Return a name that InfraGraph takes, unique among instances."""
        base = _BAD.sub("_", name) or "x"
        made, i = base, 1
        while made in self.taken:
            i += 1
            made = f"{base}_{i}"
        if made != name:
            self.changed.append(name)
        self.taken.add(made)
        return made

    def _link(self, link: int) -> str:
        """Return the name of the link type of a cable."""
        fabric = self.fabric
        rate, back = fabric.link_capacity_bytes_per_s[link], fabric.link_capacity_bytes_per_s[link ^ 1]
        self.uneven += bool(rate != back)
        key = float(min(rate, back)), float(fabric.link_latency_s[link])
        return self.links.setdefault(key, f"link{len(self.links)}")

    def text(self) -> Exported:
        fabric = self.fabric
        inside: dict[int, list[int]] = {}
        outside: list[int] = []
        owner = self._owners()
        for link in range(0, fabric.num_links, 2):
            a, b = owner[int(fabric.link_source[link])], owner[int(fabric.link_target[link])]
            if a == b and a >= 0:
                inside.setdefault(a, []).append(link)
            else:
                outside.append(link)
        hosts = [self._host(host, inside.get(host, []), owner) for host in range(fabric.num_hosts)]
        switches, edges = self._switches(outside, owner)
        if not hosts or not (edges or inside):
            raise InputError(what="a fabric without links", where=fabric.name)
        lines = [f"name: {json.dumps(_BAD.sub('_', fabric.name))}"]
        if fabric.description:
            lines.append(f"description: {json.dumps(fabric.description, ensure_ascii=False)}")
        physical = {name: _physical(rate, latency_s) for (rate, latency_s), name in self.links.items()}
        lines += ["devices:", *(line for kind in self.kinds.values() for line in _device(kind, physical))]
        lines += ["links:", *(f"- {{name: {name}{told}}}" for name, told in physical.items())]
        lines.append("instances:")
        lines += [f"- {{name: {json.dumps(name)}, device: {kind}, count: 1}}" for name, kind in (*hosts, *switches)]
        if edges:
            lines += ["edges:", *edges]
        losses = ["parts, rails, racks and pods"]
        if self.changed:
            losses.append(f"{len(self.changed)} names that InfraGraph does not take, first {self.changed[0]!r}")
        if self.uneven:
            losses.append(f"the faster direction of {self.uneven} links")
        return Exported("\n".join(lines) + "\n", tuple(losses))

    def _owners(self) -> list[int]:
        """Return the host of each node, −1 for switches outside hosts; scale-up switches of one host belong to it."""
        fabric = self.fabric
        owner = [host_of_node(fabric, node) for node in range(fabric.num_nodes)]
        first = fabric.num_accelerators + fabric.num_nics
        found: dict[int, set[int]] = {}
        for a, b in zip(fabric.link_source.tolist(), fabric.link_target.tolist(), strict=True):
            if b >= first:
                found.setdefault(b, set()).add(owner[a] if a < first else -1)
        for node, hosts in found.items():
            if fabric.node_kind[node] == NodeKind.SCALE_UP_SWITCH and len(hosts) == 1 and hosts != {-1}:
                owner[node] = hosts.pop()
        return owner

    def _host(self, host: int, links: list[int], owner: list[int]) -> tuple[str, str]:
        """Take up one host; return instance and device."""
        fabric, name = self.fabric, self.fabric.host_names[host]
        first_nic = fabric.num_accelerators
        accelerators = fabric.host_accelerators(host).tolist()
        nics = self._nics_of(host)
        switches = sorted(
            {int(n) for link in links for n in (fabric.link_source[link], fabric.link_target[link])
             if n >= first_nic + fabric.num_nics}
        )  # fmt: skip
        components: list[tuple[str, int, str]] = []
        for nodes, choice in ((accelerators, "xpu"), (nics, "nic"), (switches, "switch")):
            labels = [fabric.node_names[node].removeprefix(f"{name}/") for node in nodes]
            components += self._components(nodes, labels, choice)
        edges = [
            (
                self.component[int(fabric.link_source[link])],
                self.component[int(fabric.link_target[link])],
                self._link(link),
            )
            for link in links
        ]
        instance = self._named(name)
        self.instance[-1 - host] = instance
        return instance, self._kind("host", components, edges)

    def _nics_of(self, host: int) -> list[int]:
        begin, end = self.nic_bounds[host], self.nic_bounds[host + 1]
        return [int(n) + self.fabric.num_accelerators for n in self.nic_order[begin:end]]

    def _components(self, nodes: list[int], labels: list[str], choice: str) -> list[tuple[str, int, str]]:
        """Return the components that stand for nodes: one of many where they are numbered from 0, else one each."""
        matches = [_NUMBERED.fullmatch(label) for label in labels]
        prefix = matches[0][1] if matches and matches[0] else ""
        is_run = len(nodes) > 1 and bool(prefix) and labels == [f"{prefix}{i}" for i in range(len(labels))]
        if is_run and not _BAD.search(prefix):
            self.component.update({node: f"{prefix}[{i}]" for i, node in enumerate(nodes)})
            return [(prefix, len(nodes), choice)]
        made: list[tuple[str, int, str]] = []
        for node, label in zip(nodes, labels, strict=True):
            name = _BAD.sub("_", label)
            if name != label:
                self.changed.append(label)
            while name in {m[0] for m in made}:
                name += "_"
            self.component[node] = f"{name}[0]"
            made.append((name, 1, choice))
        return made

    def _kind(self, word: str, components: list[tuple[str, int, str]], edges: list[tuple[str, str, str]]) -> str:
        key = repr((word, components, edges))
        if key not in self.kinds:
            self.kinds[key] = _Kind(f"{word}-type{len(self.kinds)}", components, edges)
        return self.kinds[key].name

    def _switches(self, outside: Sequence[int], owner: list[int]) -> tuple[list[tuple[str, str]], list[str]]:
        """Return instances of switches and the edges between instances."""
        fabric = self.fabric
        ends = []
        used: dict[int, int] = {}
        for link in outside:
            row = []
            for node in (int(fabric.link_source[link]), int(fabric.link_target[link])):
                if owner[node] >= 0:
                    row.append((node, self.instance[-1 - owner[node]], self.component[node]))
                else:
                    port = used.get(node, 0)
                    used[node] = port + 1
                    row.append((node, "", f"port[{port}]"))
            ends.append((row, self._link(link)))
        instances = []
        first = fabric.num_accelerators + fabric.num_nics
        for node in range(first, fabric.num_nodes):
            if owner[node] < 0 and used.get(node):
                name = self._named(fabric.node_names[node])
                self.instance[node] = name
                kind = self._kind(
                    "switch", [("asic", 1, "switch"), ("port", used[node], "port")], [("asic", "port", "ic")]
                )
                instances.append((name, kind))
        edges = []
        for row, link_name in ends:
            sides = []
            for node, instance, component in row:
                name = json.dumps(f"{instance or self.instance[node]}[0]")
                sides.append(f"{{instance: {name}, component: {json.dumps(component)}}}")
            edges.append(f"- {{ep1: {sides[0]}, ep2: {sides[1]}, scheme: one2one, link: {link_name}}}")
        return instances, edges


def _physical(rate_bytes_per_s: float, latency_s: float) -> str:
    bandwidth = f"{{choice: gigabits_per_second, gigabits_per_second: {_number(to_gbps(rate_bytes_per_s))}}}"
    latency = f"{{choice: ns, ns: {_number(latency_s * _NS_A_S)}}}"
    return f", physical: {{bandwidth: {bandwidth}, latency: {latency}}}"


def _device(kind: _Kind, physical: Mapping[str, str]) -> list[str]:
    lines = [f"- name: {kind.name}", "  components:"]
    lines += [
        f"  - {{name: {json.dumps(n)}, count: {count}, choice: {choice}}}" for n, count, choice in kind.components
    ]
    lines.append("  links:")
    lines += [f"  - {{name: {name}{physical.get(name, '')}}}" for name in dict.fromkeys(edge[2] for edge in kind.edges)]
    lines.append("  edges:")
    for a, b, link in kind.edges:
        scheme = "many2many" if link == "ic" else "one2one"
        ends = f"ep1: {{component: {json.dumps(a)}}}, ep2: {{component: {json.dumps(b)}}}"
        lines.append(f"  - {{{ends}, scheme: {scheme}, link: {link}}}")
    return [line if line.strip() not in ("links:", "edges:") or kind.edges else f"{line} []" for line in lines]


def _number(value: float) -> str:
    return np.format_float_positional(float(f"{value:.12g}"), trim="-")
