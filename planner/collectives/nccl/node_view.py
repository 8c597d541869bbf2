"""What NCCL sees of one unit of a group: its accelerators, how they are joined, and the NICs they can use."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from planner.collectives.nccl.constants import Architecture, Cpu, PathType
from planner.collectives.nccl.hardware import (
    accelerator_architecture,
    counted_nvlink_bytes_per_s,
    counted_pcie_bytes_per_s,
    host_cpu,
)
from topologies.fabric import Fabric, Float64s, Int64s, LinkKind

__all__ = ["NodeView", "node_view", "view_key"]


@dataclass(frozen=True, eq=False)
class NodeView:
    """One unit (scale-up domain or host) as NCCL's search sees it. ``G`` accelerators, ``N`` NICs, in device order.

    Attributes
    ----------
    accelerator, nic
        Node numbers in the fabric, ``(G,)`` and ``(N,)``. Several NICs that hang on one accelerator alone count as one
        device, as NCCL and its network plug-ins merge them; `nic` names the first.
    architecture, cpu
        Generation of the accelerators and processor of the host.
    is_assumed
        Whether either was assumed, as no part says it.
    is_hub
        Whether all accelerators are joined by switches (or by the host's PCIe); else by direct links.
    has_switch
        Whether those are scale-up switches.
    hub_bytes_per_s
        ``(G,)`` what an accelerator sends into and gets from the hub, each way.
    pair_bytes_per_s
        ``(G, G)`` rate of the direct link between two; zeros with a hub.
    path
        What a path between two accelerators crosses.
    host_bytes_per_s
        ``(G,)`` what an accelerator exchanges with its NICs together.
    nic_bytes_per_s, nic_host_bytes_per_s
        ``(N,)`` rate of the NIC, and of its own path into the host, as NCCL counts them.
    near
        ``(N, G)``: which accelerators hang on which NIC.
    """

    accelerator: Int64s
    nic: Int64s
    architecture: Architecture
    cpu: Cpu
    is_assumed: bool
    is_hub: bool
    has_switch: bool
    hub_bytes_per_s: Float64s
    pair_bytes_per_s: Float64s
    path: PathType
    host_bytes_per_s: Float64s
    nic_bytes_per_s: Float64s
    nic_host_bytes_per_s: Float64s
    near: npt.NDArray[np.bool_]

    @property
    def num_accelerators(self) -> int:
        """G."""
        return len(self.accelerator)

    @property
    def num_nics(self) -> int:
        """N."""
        return len(self.nic)

    @property
    def scale_up_bytes_per_s(self) -> float:
        """What the best-joined accelerator sends to the others in all."""
        rates = self.hub_bytes_per_s if self.is_hub else self.pair_bytes_per_s.sum(axis=1)
        return float(rates.max(initial=0.0))


@dataclass(frozen=True, eq=False)
class _Tables:
    """What is worked out once a fabric."""

    host_key: Int64s
    host_links: Int64s
    host_link_start: Int64s
    nic_rate: Float64s


_TABLES: WeakKeyDictionary[Fabric, _Tables] = WeakKeyDictionary()


def _nic_rates(fabric: Fabric) -> Float64s:
    """Rate of all cables of each NIC together, the slower direction, ``(M,)``."""
    first, num = fabric.num_accelerators, fabric.num_nics
    rates = []
    for end in (fabric.link_source, fabric.link_target):
        mask = (fabric.link_kind == LinkKind.SCALE_OUT) & (end >= first) & (end < first + num)
        rates.append(np.bincount(end[mask] - first, weights=fabric.link_capacity_bytes_per_s[mask], minlength=num))
    return np.minimum(*rates)


def _host_keys(fabric: Fabric, nic_rate: Float64s) -> Int64s:
    """Return a number for each host, the same for hosts that are wired alike inside, ``(H,)``."""
    source, target = fabric.link_source.astype(np.int64), fabric.link_target.astype(np.int64)
    num = fabric.num_accelerators
    inside = np.flatnonzero((source < num) & (fabric.link_kind != LinkKind.SCALE_OUT))
    source, target = source[inside], target[inside]
    host = fabric.accelerator_host[source].astype(np.int64)
    first = fabric.host_accelerator_start[host]
    to_nic = fabric.link_kind[inside] == LinkKind.HOST
    nic = np.where(to_nic, target - num, 0)
    first_nic = np.full(fabric.num_hosts, fabric.num_nics, np.int64)
    if fabric.num_nics:
        np.minimum.at(first_nic, fabric.nic_host, np.arange(fabric.num_nics))
    peer = np.where(target < num, target - first, -1)
    rows = np.column_stack(
        [
            source - first,
            np.where(to_nic, 1 + nic - first_nic[host], 0),
            peer,
            fabric.link_capacity_bytes_per_s[inside],
            nic_rate[nic] * to_nic if fabric.num_nics else np.zeros(len(nic)),
            np.where(to_nic, fabric.nic_rail[nic], 0) if fabric.num_nics else np.zeros(len(nic)),
            fabric.node_part[source],
        ]
    )
    _, row_id = np.unique(rows, axis=0, return_inverse=True)
    row_id = row_id.ravel().astype(np.int64)
    order = np.lexsort((row_id, host))
    bounds = np.searchsorted(host[order], np.arange(fabric.num_hosts + 1))
    counts = fabric.host_num_accelerators
    seen: dict[bytes, int] = {}
    sorted_ids = row_id[order]
    keys = [
        seen.setdefault(bytes([int(counts[h]) & 255]) + sorted_ids[bounds[h] : bounds[h + 1]].tobytes(), len(seen))
        for h in range(fabric.num_hosts)
    ]
    return np.array(keys, np.int64)


def _tables(fabric: Fabric) -> _Tables:
    tables = _TABLES.get(fabric)
    if tables is None:
        nic_rate = _nic_rates(fabric)
        num = fabric.num_accelerators
        links = np.flatnonzero((fabric.link_kind == LinkKind.HOST) & (fabric.link_source < num))
        links = links[np.argsort(fabric.link_source[links], kind="stable")]
        start = np.searchsorted(fabric.link_source[links], np.arange(num + 1))
        tables = _TABLES[fabric] = _Tables(_host_keys(fabric, nic_rate), links, start.astype(np.int64), nic_rate)
    return tables


def view_key(fabric: Fabric, members: Int64s) -> bytes:
    """Return a key that is the same for units whose `node_view` differs in nothing but node numbers.

    Parameters
    ----------
    members
        The group's accelerators in one unit, ascending.
    """
    host = fabric.accelerator_host[members]
    keys = _tables(fabric).host_key[host]
    local = members - fabric.host_accelerator_start[host]
    return keys.tobytes() + local.tobytes() + np.diff(host).astype(bool).tobytes()


def node_view(fabric: Fabric, members: Int64s) -> NodeView:
    """Look at one unit of a group.

    Parameters
    ----------
    members
        The group's accelerators in one unit, ascending.
    """
    tables = _tables(fabric)
    generations = [accelerator_architecture(fabric, int(m)) for m in members]
    cpus = [host_cpu(fabric, int(m)) for m in members]
    architecture = min(arch for arch, _ in generations)
    num = len(members)

    links = np.concatenate(
        [tables.host_links[tables.host_link_start[m] : tables.host_link_start[m + 1]] for m in members]
    ).astype(np.int64)
    near_of = np.searchsorted(members, fabric.link_source[links])
    nodes, first_seen = np.unique(fabric.link_target[links], return_index=True)
    order = np.lexsort((nodes, near_of[first_seen])) if len(nodes) else np.zeros(0, np.int64)
    nic = nodes[order].astype(np.int64)
    place = {int(node): j for j, node in enumerate(nic)}
    near = np.zeros((len(nic), num), bool)
    path_rate, host_rate = np.zeros(len(nic)), np.zeros(num)
    for link, accelerator in zip(links, near_of, strict=True):
        j = place[int(fabric.link_target[link])]
        rate = float(fabric.link_capacity_bytes_per_s[link])
        near[j, accelerator] = True
        path_rate[j] = max(path_rate[j], rate)
        host_rate[accelerator] += rate
    nic, near, path_rate, nic_rate = _merged(nic, near, path_rate, tables.nic_rate[nic - fabric.num_accelerators])
    counted_host = np.array([counted_pcie_bytes_per_s(rate) for rate in host_rate])
    counted_path = np.array([counted_pcie_bytes_per_s(rate) for rate in path_rate])

    hub, pair, has_switch = _joints(fabric, members, architecture)
    joined = has_switch or bool(pair.any()) or num == 1
    return NodeView(
        accelerator=members.astype(np.int64),
        nic=nic,
        architecture=architecture,
        cpu=cpus[0][0] if len({cpu for cpu, _ in cpus}) == 1 else Cpu.MIXED,
        is_assumed=not all(known for _, known in [*generations, *cpus]),
        is_hub=has_switch or not joined or num == 1,
        has_switch=has_switch,
        hub_bytes_per_s=hub if joined else counted_host,
        pair_bytes_per_s=pair,
        path=PathType.NVL if joined else PathType.PHB,
        host_bytes_per_s=counted_host,
        nic_bytes_per_s=nic_rate,
        nic_host_bytes_per_s=counted_path,
        near=near,
    )


def _merged(
    nic: Int64s, near: npt.NDArray[np.bool_], path_rate: Float64s, nic_rate: Float64s
) -> tuple[Int64s, npt.NDArray[np.bool_], Float64s, Float64s]:
    """Make one device of the NICs that hang on one accelerator alone."""
    owner = np.where(near.sum(axis=1) == 1, near.argmax(axis=1), -1 - np.arange(len(nic)))
    _, first, inverse = np.unique(owner, return_index=True, return_inverse=True)
    place = np.argsort(first, kind="stable")
    turn = np.empty(len(place), np.int64)
    turn[place] = np.arange(len(place))
    device = turn[inverse.ravel()]
    keep = np.sort(first)
    paths = np.bincount(device, weights=path_rate, minlength=len(keep)).astype(np.float64)
    rates = np.bincount(device, weights=nic_rate, minlength=len(keep)).astype(np.float64)
    return nic[keep], near[keep], paths, rates


def _joints(fabric: Fabric, members: Int64s, architecture: Architecture) -> tuple[Float64s, Float64s, bool]:
    """Return hub rates, pair rates and whether scale-up switches are there, as NCCL counts them."""
    num = len(members)
    pair = np.zeros((num, num))
    hub = np.zeros(num)
    has_switch = False
    out = fabric.out_links
    for i, member in enumerate(members):
        links = out.link[out.start[member] : out.start[member + 1]]
        links = links[fabric.link_kind[links] == LinkKind.SCALE_UP]
        target = fabric.link_target[links]
        rate = fabric.link_capacity_bytes_per_s[links]
        to_switch = target >= fabric.num_accelerators
        if to_switch.any():
            has_switch = True
            hub[i] = counted_nvlink_bytes_per_s(float(rate[to_switch].sum()), architecture)
        for peer, direct in zip(target[~to_switch], rate[~to_switch], strict=True):
            j = int(np.searchsorted(members, peer))
            if j < num and members[j] == peer:
                pair[i, j] += counted_nvlink_bytes_per_s(float(direct), architecture)
    if has_switch:
        pair[:] = 0.0
    return hub, pair, has_switch
