"""Topology files of SimAI, and of the ns-3 RDMA models it comes from: numbered nodes, switches, and a line a link."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from topologies.builder import FabricBuilder
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind, NodeKind
from topologies.formats.hosts import accelerator_part, part_named
from topologies.formats.ports import CablePorts
from topologies.formats.registry import BaseFormat, Exported, Imported, ReadOptions
from topologies.formats.source import Source, only_one
from topologies.formats.wiring import Wiring, built
from topologies.units import from_gbps, to_gbps

__all__ = ["SimaiFormat"]

_HEADER = re.compile(r"(\d{1,8}) (\d{1,8}) (\d{1,8})(?: (\d{1,8}) (\d{1,9}) (\S{1,100}))? *")
_QUANTITY = re.compile(r"(\d{1,12}(?:\.\d{0,12})?(?:[eE]-?\d{1,2})?)([A-Za-z/]+)")
_RATES = {
    "bps": 1e-9,
    "bit/s": 1e-9,
    "Kbps": 1e-6,
    "kbps": 1e-6,
    "Mbps": 1e-3,
    "Gbps": 1.0,
    "Tbps": 1e3,
    "MBps": 8e-3,
    "GBps": 8.0,
}
"""Units of ns-3's DataRate, in 10⁹ bit/s."""

_TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}
"""Units of ns-3's Time, in seconds."""

MAX_NODES = 4_000_000
"""Most nodes of a file."""


@dataclass(frozen=True)
class _Link:
    a: int
    b: int
    rate_bytes_per_s: float
    latency_s: float
    line: int


@dataclass(frozen=True)
class _Network:
    """What a file says; `gpus_a_server` is 0 for the ns-3 form, whose hosts are whole servers."""

    num_nodes: int
    gpus_a_server: int
    nv_switches: tuple[int, ...]
    switches: tuple[int, ...]
    gpu_type: str
    links: tuple[_Link, ...]
    has_errors: bool


class SimaiFormat(BaseFormat):
    """Registers ``simai``."""

    name = "simai"
    summary = "SimAI's topology file, or (--topology ns3) that of the ns-3 RDMA models"
    reads = True
    writes = True

    def sniff(self, source: Source) -> int:
        """Look for a line of three or six numbers, one of switches, and links with units."""
        lines = source.head.split("\n", 3)
        if len(lines) < 3 or not _HEADER.fullmatch(lines[0].rstrip()):
            return 0
        words = lines[2].split()
        is_link = len(words) == 5 and words[0].isdecimal() and bool(_QUANTITY.fullmatch(words[2]))
        return 90 if is_link and re.fullmatch(r"[\d ]*", lines[1].rstrip()) else 0

    def read(self, sources: Sequence[Source], options: ReadOptions) -> Imported:
        """Return the fabric of one file; see `FabricFormat.read`."""
        source = only_one(sources, "two topologies")
        network = _parse(source)
        return _of_servers(network, source, options) if network.gpus_a_server else _of_hosts(network, source, options)

    def write(self, fabric: Fabric, ports: CablePorts | None, topology: str) -> Exported:
        """Return SimAI's form; `topology` ``ns3`` has hosts in place of accelerators."""
        if topology not in ("", "simai", "ns3"):
            raise InputError(what="no such form", where="--topology", found=repr(topology), allowed="simai, ns3")
        return _ns3_text(fabric) if topology == "ns3" else _simai_text(fabric)


# ---- read ----------------------------------------------------------------------------------------------------------


def _parse(source: Source) -> _Network:
    lines = source.text.split("\n")
    header = _HEADER.fullmatch(lines[0].rstrip())
    if header is None:
        raise source.error(
            1, what="not the first line of a topology", found=repr(lines[0][:80]),
            allowed="nodes gpus-a-server nv-switches switches links gpu-type, or nodes switches links",
        )  # fmt: skip
    is_simai = header[4] is not None
    num_nodes = int(header[1])
    num_nv, num_switches = (int(header[3]), int(header[4])) if is_simai else (0, int(header[2]))
    num_links = int(header[5] if is_simai else header[3])
    if num_nodes > MAX_NODES:
        raise source.error(1, what="too many nodes", found=num_nodes, allowed=f"at most {MAX_NODES}")
    words = lines[1].split() if len(lines) > 1 else []
    if len(words) != num_nv + num_switches or not all(w.isdecimal() and int(w) < num_nodes for w in words):
        raise source.error(
            2,
            what="the line of switches does not fit the first line",
            found=f"{len(words)} numbers",
            allowed=f"{num_nv + num_switches} numbers below {num_nodes}",
            fix="give the whole file",
        )
    ids = tuple(map(int, words))
    if len(set(ids)) != len(ids):
        raise source.error(2, what="a switch stands twice")
    links, has_errors = [], False
    for number, line in enumerate(lines[2:], start=3):
        cells = line.split()
        if cells:
            link = _link(source, number, cells, num_nodes)
            has_errors |= float(cells[4]) > 0
            links.append(link)
    if len(links) != num_links:
        raise source.error(
            len(lines) if not lines[-1] else len(lines) + 1,
            what="links are missing, or too many",
            found=len(links),
            allowed=f"{num_links}, as the first line says",
            fix="give the whole file",
        )
    gpus = int(header[2]) if is_simai else 0
    hosts = num_nodes - len(ids)
    if is_simai and (gpus < 1 or hosts % gpus):
        raise source.error(1, what="the accelerators do not fill servers", found=f"{hosts} by {gpus}")
    return _Network(num_nodes, gpus, ids[:num_nv], ids[num_nv:], header[6] or "", tuple(links), has_errors)


def _link(source: Source, number: int, cells: list[str], num_nodes: int) -> _Link:
    what = ""
    if len(cells) != 5 or not (
        cells[0].isdecimal() and cells[1].isdecimal() and re.fullmatch(r"[\d.eE-]{1,20}", cells[4])
    ):
        what = "not a link"
    elif len(cells[0]) > 8 or len(cells[1]) > 8 or max(int(cells[0]), int(cells[1])) >= num_nodes:
        what = "a link of a node that is not there"
    elif cells[0] == cells[1]:
        what = "a link joins a node to itself"
    rate, latency = (_quantity(cells[2], _RATES), _quantity(cells[3], _TIMES)) if not what else (None, None)
    try:
        is_number = not what and float(cells[4]) >= 0
    except ValueError:
        is_number = False
    if what or rate is None or latency is None or not rate > 0 or not is_number:
        raise source.error(
            number, what=what or "not a rate, a delay and an error rate", found=repr(" ".join(cells)[:80]),
            allowed="as 0 16 900Gbps 0.000025ms 0",
        )  # fmt: skip
    return _Link(int(cells[0]), int(cells[1]), from_gbps(rate), latency, number)


def _quantity(text: str, units: dict[str, float]) -> float | None:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        return None
    return float(match[1]) * units[match[2]]


def _of_servers(network: _Network, source: Source, options: ReadOptions) -> Imported:
    """Return the fabric of SimAI's form, where each accelerator has its own way into the network."""
    gpus = network.gpus_a_server
    is_switch = {*network.switches, *network.nv_switches}
    gpu_ids = [node for node in range(network.num_nodes) if node not in is_switch]
    place = {node: divmod(i, gpus) for i, node in enumerate(gpu_ids)}
    nv, ordinary = set(network.nv_switches), set(network.switches)
    uplinks: dict[int, list[_Link]] = {}
    for link in network.links:
        for a, b in ((link.a, link.b), (link.b, link.a)):
            if a in place and b in ordinary:
                uplinks.setdefault(a, []).append(link)
    guesses = []
    told = (
        options
        if options.accelerator
        else ReadOptions(**{**vars(options), "accelerator": part_named({network.gpu_type}, options)})
    )
    part = accelerator_part(told)
    if part is not None and options.accelerator is None:
        guesses.append(f"accelerators of type {network.gpu_type} are part {part.id}")
    builder = FabricBuilder(options.name or source.stem, description=f"SimAI topology, from {source.name}.")
    num_servers = len(gpu_ids) // gpus
    names = [f"server{i}" for i in range(num_servers)]
    has_nic = [node in uplinks for node in gpu_ids]
    if any(has_nic) and not all(has_nic):
        missing = gpu_ids[has_nic.index(False)]
        raise source.error(None, what="an accelerator without a link to a switch, where others have one", found=missing)
    block = builder.add_hosts(
        names, accelerators=gpus, part=part, nics=gpus if all(has_nic) else 0, host_links=False,
    )  # fmt: skip
    ids = {node: int(block.accelerator[place[node]]) for node in gpu_ids}
    nic_of = {node: int(block.nic[place[node]]) for node in gpu_ids} if all(has_nic) else {}
    for node in network.nv_switches:
        ids[node] = builder.add_switch(f"nvs{node}", scale_up=True)
    for node in network.switches:
        ids[node] = builder.add_switch(f"sw{node}")
    if nic_of:
        guesses.append("each accelerator has a NIC of its own, which it reaches at the NIC's rate without delay")
        builder.add_cables(
            [ids[n] for n in gpu_ids],
            [nic_of[n] for n in gpu_ids],
            rate_bytes_per_s=[sum(link.rate_bytes_per_s for link in uplinks[n]) for n in gpu_ids],
        )
    ends = []
    for link in network.links:
        pair = []
        for node, other in ((link.a, link.b), (link.b, link.a)):
            pair.append(nic_of[node] if node in nic_of and other in ordinary else ids[node])
        if (link.a in nv and link.b in ordinary) or (link.b in nv and link.a in ordinary):
            raise source.error(link.line, what="a link between an NVSwitch and a switch of the network")
        ends.append(pair)
    table = np.array(ends, np.int64).reshape(-1, 2)
    builder.add_cables(
        table[:, 0],
        table[:, 1],
        rate_bytes_per_s=[link.rate_bytes_per_s for link in network.links],
        latency_s=[link.latency_s for link in network.links],
    )
    builder.assumptions += guesses
    left_out = ("error rates of links",) if network.has_errors else ()
    return Imported(built(builder, source.name), "simai", tuple(guesses), left_out)


def _of_hosts(network: _Network, source: Source, options: ReadOptions) -> Imported:
    """Return the fabric of the ns-3 form, each of whose hosts is a server with a NIC for each of its links."""
    wiring = Wiring(source.stem, "simai", source.name, description=f"ns-3 topology, from {source.name}.")
    switches = set(network.switches)
    for node in network.switches:
        wiring.switch(f"sw{node}")
    nics: dict[int, int] = {}
    for link in network.links:
        if link.a not in switches and link.b not in switches:
            raise source.error(link.line, what="a link joins two hosts", allowed="a switch between")
        ends = []
        for node in (link.a, link.b):
            if node in switches:
                ends.append(f"sw{node}")
                continue
            ends.append(wiring.nic(f"host{node}", f"nic{nics.get(node, 0)}"))
            nics[node] = nics.get(node, 0) + 1
        wiring.cable(ends[0], "", ends[1], "", link.rate_bytes_per_s, link.latency_s)
    if network.has_errors:
        wiring.left_out.append("error rates of links")
    return wiring.build(options)


# ---- write ---------------------------------------------------------------------------------------------------------


def _simai_text(fabric: Fabric) -> Exported:
    gpus = np.unique(fabric.host_num_accelerators)
    nics = np.bincount(fabric.nic_host, minlength=fabric.num_hosts)
    if len(gpus) > 1 or (fabric.num_nics and np.any(nics != gpus[0])):
        raise InputError(
            what="SimAI needs as many accelerators in each host, and a NIC for each of them",
            where=fabric.name,
            found=f"{', '.join(map(str, gpus))} accelerators and {', '.join(map(str, np.unique(nics)))} NICs a host",
            fix="write --topology ns3, whose hosts may have any NICs",
        )
    inside = fabric.link_kind == LinkKind.HOST
    pairs = fabric.link_source[inside][0::2], fabric.link_target[inside][0::2]
    accelerator_of = {int(max(a, b)): int(min(a, b)) for a, b in zip(*pairs, strict=True)}
    if fabric.num_nics and (
        len(accelerator_of) != fabric.num_nics or len(set(accelerator_of.values())) != fabric.num_nics
    ):
        raise InputError(what="SimAI needs each accelerator beside one NIC of its own", where=fabric.name)
    number = _numbers(fabric, fabric.num_accelerators)
    for nic, accelerator in accelerator_of.items():
        number[nic] = accelerator
    order = _switch_order(fabric)
    nv = [node for node in order if fabric.node_kind[node] == NodeKind.SCALE_UP_SWITCH]
    links, uneven = _lines(fabric, number, keep=fabric.link_kind != LinkKind.HOST)
    kind = next((part.id for part in fabric.parts if part.part_class == "accelerator"), "GPU")
    header = (
        f"{fabric.num_accelerators + len(order)} {gpus[0]} {len(nv)} {len(order) - len(nv)} {len(links)} {kind.upper()}"
    )
    losses = ["names, racks and pods", "parts but the accelerators' name", "links between accelerators and NICs"]
    return _exported(header, [number[node] for node in order], links, [*losses, *uneven])


def _ns3_text(fabric: Fabric) -> Exported:
    number = _numbers(fabric, fabric.num_hosts)
    for nic, host in enumerate(fabric.nic_host.tolist()):
        number[fabric.num_accelerators + nic] = host
    order = [node for node in _switch_order(fabric) if fabric.node_kind[node] == NodeKind.SWITCH]
    for i, node in enumerate(order):
        number[node] = fabric.num_hosts + i
    links, uneven = _lines(fabric, number, keep=fabric.link_kind == LinkKind.SCALE_OUT)
    if not links:
        raise InputError(what="the fabric has no cable between hosts and switches", where=fabric.name)
    header = f"{fabric.num_hosts + len(order)} {len(order)} {len(links)}"
    losses = ["names, racks, pods and parts", "accelerators and the inside of hosts", "which NIC a link belongs to"]
    return _exported(header, [number[node] for node in order], links, [*losses, *uneven])


def _switch_order(fabric: Fabric) -> list[int]:
    """Return scale-up switches, then switches from the leaves up, as SimAI numbers them."""
    first = fabric.num_accelerators + fabric.num_nics
    return sorted(
        range(first, fabric.num_nodes),
        key=lambda node: (int(fabric.node_kind[node]), int(fabric.node_tier[node]), node),
    )


def _numbers(fabric: Fabric, num_ends: int) -> dict[int, int]:
    """Return the number of each accelerator and switch; ends first."""
    number = {node: node for node in range(fabric.num_accelerators)}
    number.update({node: num_ends + i for i, node in enumerate(_switch_order(fabric))})
    return number


def _lines(
    fabric: Fabric, number: dict[int, int], keep: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> tuple[list[str], list[str]]:
    lines, uneven = [], 0
    for link in range(0, fabric.num_links, 2):
        if not keep[link]:
            continue
        a, b = number[int(fabric.link_source[link])], number[int(fabric.link_target[link])]
        rate, back = fabric.link_capacity_bytes_per_s[link], fabric.link_capacity_bytes_per_s[link + 1]
        uneven += rate != back
        gbps = np.format_float_positional(float(f"{to_gbps(float(rate)):.12g}"), trim="-")
        ms = np.format_float_positional(float(f"{fabric.link_latency_s[link] / _TIMES['ms']:.12g}"), trim="-")
        lines.append(f"{min(a, b)} {max(a, b)} {gbps}Gbps {ms}ms 0")
    return lines, [f"the slower direction of {uneven} links"] if uneven else []


def _exported(header: str, switches: Sequence[int], links: Sequence[str], losses: Sequence[str]) -> Exported:
    return Exported("\n".join([header, " ".join(map(str, switches)), *links]) + "\n", tuple(losses))
