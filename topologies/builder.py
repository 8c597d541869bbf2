"""`FabricBuilder`: mutable and speaks names; `build` turns it into an immutable `Fabric` that speaks numbers.

Two ways to use it, which mix freely. In bulk, for generators: `add_hosts`, `add_switches` and `add_cables` take counts,
name templates and arrays. One by one, for graphs read from files: `add_host`, `add_switch` and `connect` take names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.fabric import Fabric, Int32s, Int64s, LinkKind, NodeKind
from topologies.locality import (
    accelerator_nics,
    check_connected,
    check_nics_cabled,
    leaf_groups,
    pods,
    scale_up_domains,
    switch_tiers,
)
from topologies.names import Names, NameTemplate
from topologies.parts import Part

__all__ = ["FabricBuilder", "HostBlock"]

MAX_NODES = 20_000_000
"""Most nodes of one kind. A fabric of a million accelerators has some two million nodes."""

MAX_CABLES = 20_000_000
"""Most cables; more would not fit the memory of a usual machine."""

_KIND_SHIFT = 40  # a builder id is kind << 40 | number within the kind
_LOCAL = (1 << _KIND_SHIFT) - 1

Ids = npt.ArrayLike
Template = str | NameTemplate


@dataclass(frozen=True)
class HostBlock:
    """Ids of hosts added together.

    Attributes
    ----------
    host
        ``(count,)`` host numbers.
    accelerator
        ``(count, accelerators)`` node ids.
    nic
        ``(count, nics)`` node ids.
    """

    host: Int64s
    accelerator: Int64s
    nic: Int64s


@dataclass(frozen=True)
class _Cables:
    a: Int64s
    b: Int64s
    rate_bytes_per_s: npt.NDArray[np.float64]
    reverse_bytes_per_s: npt.NDArray[np.float64]
    latency_s: npt.NDArray[np.float64]


class _Names:
    """Name blocks that grow, with the names spelled out found by a dictionary while building."""

    def __init__(self) -> None:
        self.blocks: list[list[str] | NameTemplate] = []
        self.count = 0
        self._spelled: dict[str, int] = {}

    def add(self, names: Iterable[str] | NameTemplate) -> Int64s:
        first = self.count
        if isinstance(names, NameTemplate):
            _check_size(first + len(names), MAX_NODES, "nodes of one kind")
            self.blocks.append(names)
            self.count += len(names)
        else:
            if not self.blocks or isinstance(self.blocks[-1], NameTemplate):
                self.blocks.append([])
            last = self.blocks[-1]
            assert isinstance(last, list)
            for name in names:
                last.append(name)
                self._spelled.setdefault(name, self.count)
                self.count += 1
        return np.arange(first, self.count, dtype=np.int64)

    def find(self, name: str) -> int | None:
        idx = self._spelled.get(name)
        return idx if idx is not None else self.freeze().find(name) if self._has_templates else None

    @property
    def _has_templates(self) -> bool:
        return any(isinstance(block, NameTemplate) for block in self.blocks)

    def freeze(self) -> Names:
        return Names(tuple(b if isinstance(b, NameTemplate) else tuple(b) for b in self.blocks))


class FabricBuilder:
    """Collects hosts, switches and cables, checks them, and builds a `Fabric`.

    Parameters
    ----------
    name, description
        For people.
    assumptions
        What was assumed or guessed; shown wherever the fabric is shown.
    """

    def __init__(self, name: str, *, description: str = "", assumptions: Iterable[str] = ()) -> None:
        self.name = name
        self.description = description
        self.assumptions = list(assumptions)
        self._parts: list[Part] = []
        self._part_idx: dict[str, int] = {}
        self._names = [_Names() for _ in NodeKind]
        self._node_part: list[list[Int32s]] = [[] for _ in NodeKind]
        self._switch_tier: list[Int32s] = []
        self._switch_pod: list[Int32s] = []
        self._host_names = _Names()
        self._host_rack: list[Int64s] = []
        self._host_accelerators: list[Int64s] = []
        self._nic_host: list[Int64s] = []
        self._nic_rail: list[Int64s] = []
        self._rack_names = _Names()
        self._cables: list[_Cables] = []
        self._num_cables = 0
        self._singles: list[tuple[int, int, float, float, float]] = []

    # ---- parts and racks ---------------------------------------------------------------------------------------

    def _part(self, part: Part | None) -> int:
        if part is None:
            return -1
        idx = self._part_idx.setdefault(part.id, len(self._parts))
        if idx == len(self._parts):
            self._parts.append(part)
        elif self._parts[idx] != part:
            raise InputError(what="two different parts of one id", where=self.name, found=repr(part.id))
        return idx

    def add_parts(self, parts: Iterable[Part]) -> None:
        """Add parts before anything is made of them, so that they are numbered in this order."""
        for part in parts:
            self._part(part)

    def add_racks(self, names: Iterable[str] | NameTemplate) -> Int64s:
        """Add racks; return their numbers."""
        return self._rack_names.add(names)

    def rack(self, name: str) -> int:
        """Return the number of the rack called `name`, added now if it is new."""
        idx = self._rack_names.find(name)
        return int(self._rack_names.add([name])[0]) if idx is None else idx

    # ---- nodes -------------------------------------------------------------------------------------------------

    def add_hosts(
        self,
        names: Iterable[str] | NameTemplate,
        *,
        accelerators: int,
        part: Part | None = None,
        nics: int = 0,
        nic_part: Part | None = None,
        nic_rails: Iterable[int] | None = None,
        host_link_bytes_per_s: float = 0.0,
        host_link_latency_s: float = 0.0,
        racks: npt.ArrayLike | None = None,
        accelerator_suffix: str = "/gpu{}",
        nic_suffix: str = "/nic{}",
        nic_labels: Sequence[str] | None = None,
        accelerator_labels: Sequence[str] | None = None,
        host_links: bool = True,
    ) -> HostBlock:
        """Add alike hosts with their accelerators and NICs, and the links between the two.

        Accelerator ``j`` of ``k`` is nearest to NIC ``j·m // k`` of ``m``; with more NICs than accelerators, NIC ``i``
        hangs on accelerator ``i·k // m``. NIC ``i`` is on rail ``i`` unless `nic_rails` says otherwise.

        Parameters
        ----------
        names
            Host names, spelled out or a template.
        accelerators, nics
            How many of each a host has.
        part, nic_part
            What they are.
        nic_rails
            ``(nics,)`` rail of each NIC of a host.
        host_link_bytes_per_s, host_link_latency_s
            Rate (one direction) and latency of the accelerator–NIC path inside the host; needed if there are NICs.
        racks
            Rack numbers from `add_racks`, ``(count,)`` or one for all.
        accelerator_suffix, nic_suffix
            Appended to the host's name.
        nic_labels
            ``(nics,)`` appended to the host's name after a slash, in place of `nic_suffix`; for names spelled out.
        accelerator_labels
            ``(accelerators,)`` the same for accelerators.
        host_links
            Whether to make the accelerator–NIC links; else they are left to `connect`.

        Raises
        ------
        InputError
            If a host has no accelerator, or has NICs and no rate to reach them.
        """
        names = names if isinstance(names, NameTemplate) else list(names)
        host = self._host_names.add(names)
        count = len(host)
        if accelerators < 1 or nics < 0:
            raise InputError(
                what="a host needs at least one accelerator and no negative number of NICs",
                where=self.name,
                found=f"accelerators {accelerators}, nics {nics}",
            )
        accelerator = self._add_to_hosts(
            NodeKind.ACCELERATOR, names, host, accelerators, accelerator_suffix, part, accelerator_labels
        )
        nic = self._add_to_hosts(NodeKind.NIC, names, host, nics, nic_suffix, nic_part, nic_labels)
        rails = np.arange(nics) if nic_rails is None else np.fromiter(nic_rails, np.int64, count=nics)
        self._nic_host.append(np.repeat(host, nics))
        self._nic_rail.append(np.tile(rails, count))
        self._host_accelerators.append(np.full(count, accelerators, np.int64))
        rack = np.broadcast_to(np.asarray(-1 if racks is None else racks, np.int64), (count,))
        self._host_rack.append(rack.copy())
        if nics and count and host_links:
            few, many = (
                (np.arange(accelerators), np.arange(accelerators) * nics // accelerators)
                if nics <= accelerators
                else (np.arange(nics) * accelerators // nics, np.arange(nics))
            )
            self.add_cables(
                accelerator[:, few],
                nic[:, many],
                rate_bytes_per_s=host_link_bytes_per_s,
                latency_s=host_link_latency_s,
            )
        return HostBlock(host, accelerator, nic)

    def _add_to_hosts(
        self,
        kind: NodeKind,
        names: list[str] | NameTemplate,
        host: Int64s,
        each: int,
        suffix: str,
        part: Part | None,
        labels: Sequence[str] | None,
    ) -> Int64s:
        """Add `each` nodes of one kind to every host; return their ids, ``(count, each)``."""
        if labels is not None and not isinstance(names, NameTemplate):
            made: Iterable[str] | NameTemplate = [f"{name}/{label}" for name in names for label in labels]
        elif isinstance(names, NameTemplate):
            start = names.start or (0,) * len(names.shape)
            made = NameTemplate(names.template + suffix, (*names.shape, each), (*start, 0))
        else:
            made = [name + suffix.format(i) for name in names for i in range(each)]
        return self._add_nodes(kind, made, part).reshape(len(host), each)

    def _add_nodes(self, kind: NodeKind, names: Iterable[str] | NameTemplate, part: Part | None) -> Int64s:
        """Add nodes of one kind; return their ids."""
        local = self._names[kind].add(names)
        self._node_part[kind].append(np.full(local.size, self._part(part), np.int32))
        return local | (kind << _KIND_SHIFT)

    def add_switches(
        self,
        names: Iterable[str] | NameTemplate,
        *,
        tier: int | None = None,
        pods: npt.ArrayLike | None = None,
        part: Part | None = None,
        scale_up: bool = False,
    ) -> Int64s:
        """Add switches; return their ids, ``(count,)``.

        Parameters
        ----------
        tier
            1 leaf, 2 spine, 3 core; None to have it found by the distance from the NICs.
        pods
            Pod numbers, ``(count,)`` or one for all; without any, pods are what hangs together below tier 3.
        scale_up
            True for a switch of a scale-up domain (an NVLink switch).
        """
        kind = NodeKind.SCALE_UP_SWITCH if scale_up else NodeKind.SWITCH
        local = self._names[kind].add(names)
        self._node_part[kind].append(np.full(len(local), self._part(part), np.int32))
        if not scale_up:
            self._switch_tier.append(np.full(len(local), -1 if tier is None else tier, np.int32))
            pod = np.broadcast_to(np.asarray(-1 if pods is None else pods, np.int32), (len(local),))
            self._switch_pod.append(pod.copy())
        return local | (kind << _KIND_SHIFT)

    def add_cables(
        self,
        a: Ids,
        b: Ids,
        *,
        rate_bytes_per_s: npt.ArrayLike,
        latency_s: npt.ArrayLike = 0.0,
        reverse_bytes_per_s: npt.ArrayLike | None = None,
    ) -> None:
        """Add cables between node ids, broadcast against each other: two directed links each.

        Parameters
        ----------
        a, b
            Node ids of the ends.
        rate_bytes_per_s
            Rate from `a` to `b`.
        latency_s
            One-way latency.
        reverse_bytes_per_s
            Rate from `b` to `a`; the same if left out.

        Raises
        ------
        InputError
            If a rate is not positive and finite, a latency is negative, or a cable joins a node to itself.
        """
        back = rate_bytes_per_s if reverse_bytes_per_s is None else reverse_bytes_per_s
        shapes = [np.shape(values) for values in (a, b, rate_bytes_per_s, back, latency_s)]
        self._num_cables += math.prod(np.broadcast_shapes(*shapes))
        _check_size(self._num_cables, MAX_CABLES, "cables")
        ends_a, ends_b, rate, reverse, latency = np.broadcast_arrays(
            np.asarray(a, np.int64),
            np.asarray(b, np.int64),
            np.asarray(rate_bytes_per_s, np.float64),
            np.asarray(back, np.float64),
            np.asarray(latency_s, np.float64),
        )
        cables = _Cables(ends_a.ravel(), ends_b.ravel(), rate.ravel(), reverse.ravel(), latency.ravel())
        bad = ~((rate > 0) & np.isfinite(rate) & (reverse > 0) & np.isfinite(reverse))
        self._refuse(bad.ravel(), cables, "a link's rate must be a positive number", rate.ravel())
        bad = ~((latency >= 0) & np.isfinite(latency))
        self._refuse(bad.ravel(), cables, "a link's latency must not be negative", latency.ravel())
        self._refuse(cables.a == cables.b, cables, "a link joins a node to itself", rate.ravel())
        self._cables.append(cables)

    def _refuse(self, bad: npt.NDArray[np.bool_], cables: _Cables, what: str, values: npt.NDArray[np.float64]) -> None:
        if bad.any():
            first = int(np.argmax(bad))
            ends = f"{self.name_of(cables.a[first])} – {self.name_of(cables.b[first])}"
            raise InputError(what=what, where=f"{self.name}: {ends}", found=values[first], fix="mend the link's rate")

    # ---- one by one, by name -----------------------------------------------------------------------------------

    def add_host(self, name: str, *, rack: str | None = None, **options: Any) -> HostBlock:
        """Add one host by name; `options` are those of `add_hosts`."""
        racks = None if rack is None else self.rack(rack)
        return self.add_hosts([name], racks=racks, **options)

    def add_named_host(
        self,
        name: str,
        *,
        accelerators: Sequence[tuple[str, Part | None]],
        nics: Sequence[tuple[str, Part | None, int]] = (),
        rack: str | None = None,
    ) -> HostBlock:
        """Add one host whose accelerators and NICs have names of their own; links inside it are left to `connect`.

        Parameters
        ----------
        accelerators
            ``(name, part)`` of each.
        nics
            ``(name, part, rail)`` of each.

        Raises
        ------
        InputError
            If the host has no accelerator.
        """
        if not accelerators:
            raise InputError(what="a host needs at least one accelerator", where=f"{self.name}: {name}")
        host = self._host_names.add([name])
        ids = []
        for kind, members in ((NodeKind.ACCELERATOR, accelerators), (NodeKind.NIC, nics)):
            local = self._names[kind].add(member[0] for member in members)
            self._node_part[kind].append(np.array([self._part(member[1]) for member in members], np.int32))
            ids.append((local | (kind << _KIND_SHIFT)).reshape(1, -1))
        self._nic_host.append(np.repeat(host, len(nics)))
        self._nic_rail.append(np.array([nic[2] for nic in nics], np.int64))
        self._host_accelerators.append(np.array([len(accelerators)], np.int64))
        self._host_rack.append(np.array([-1 if rack is None else self.rack(rack)], np.int64))
        return HostBlock(host, ids[0], ids[1])

    def add_switch(
        self,
        name: str,
        *,
        tier: int | None = None,
        pod: int | None = None,
        part: Part | None = None,
        scale_up: bool = False,
    ) -> int:
        """Add one switch by name; return its id."""
        ids = self.add_switches([name], tier=tier, pods=pod, part=part, scale_up=scale_up)
        return int(ids[0])

    def connect(
        self,
        a: str | int,
        b: str | int,
        *,
        rate_bytes_per_s: float,
        latency_s: float = 0.0,
        reverse_bytes_per_s: float | None = None,
    ) -> None:
        """Add one cable between two nodes given by name or id.

        Raises
        ------
        InputError
            If a node is unknown, or as `add_cables`.
        """
        ends = [self.id_of(n) if isinstance(n, str) else n for n in (a, b)]
        self.add_cables(
            ends[0],
            ends[1],
            rate_bytes_per_s=rate_bytes_per_s,
            latency_s=latency_s,
            reverse_bytes_per_s=reverse_bytes_per_s,
        )

    def id_of(self, name: str) -> int:
        """Return the id of the node called `name`.

        Raises
        ------
        InputError
            If there is none.
        """
        for kind in NodeKind:
            local = self._names[kind].find(name)
            if local is not None:
                return local | (kind << _KIND_SHIFT)
        raise InputError(
            what="a link names an unknown node",
            where=self.name,
            found=repr(name),
            allowed="a name given to a switch, an accelerator or a NIC",
        )

    def name_of(self, node: int) -> str:
        """Return the name of a node id."""
        return self._names[int(node) >> _KIND_SHIFT].freeze()[int(node) & _LOCAL]

    # ---- build -------------------------------------------------------------------------------------------------

    def build(self) -> Fabric:
        """Check everything and return the fabric.

        Raises
        ------
        InputError
            If there is no accelerator, a name stands twice, a NIC has no cable, or the graph is in several
            pieces.
        """
        counts = [names.count for names in self._names]
        if not counts[NodeKind.ACCELERATOR]:
            raise InputError(what="a fabric needs at least one host with accelerators", where=self.name)
        node_names = Names(tuple(block for names in self._names for block in names.freeze().blocks))
        host_names, rack_names = self._host_names.freeze(), self._rack_names.freeze()
        node_names.check_unique(f"nodes in {self.name}")
        host_names.check_unique(f"hosts in {self.name}")

        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        num_nodes, num_accelerators, num_nics = int(offsets[-1]), counts[0], counts[1]
        node_kind = np.repeat(np.arange(len(NodeKind), dtype=np.uint8), counts)
        node_part = _joined([a for kind in NodeKind for a in self._node_part[kind]], np.int32)

        source, target, capacity, latency = self._links(offsets)
        kind_pair = node_kind[source], node_kind[target]
        link_kind = _link_kinds(*kind_pair)

        accelerators_each = _joined(self._host_accelerators, np.int64)
        start = np.concatenate([[0], np.cumsum(accelerators_each)]).astype(np.int64)
        accelerator_host = np.repeat(np.arange(len(accelerators_each), dtype=np.int32), accelerators_each)
        nic_host = _joined(self._nic_host, np.int32)
        nic_rail = _joined(self._nic_rail, np.int32)

        given_tier = _joined(self._switch_tier, np.int32)
        tier = np.zeros(num_nodes, np.int32)
        first_switch = int(offsets[NodeKind.SWITCH])
        tier[first_switch:] = given_tier
        tier = switch_tiers(tier, node_kind, source, target)
        link_tier = np.where(link_kind == LinkKind.SCALE_OUT, np.maximum(tier[source], tier[target]), 0).astype(
            np.uint8
        )

        given_pod = np.full(num_nodes, -1, np.int32)
        given_pod[first_switch:] = _joined(self._switch_pod, np.int32)
        nic = accelerator_nics(num_accelerators, source, target, link_kind)

        fabric = Fabric(
            name=self.name,
            description=self.description,
            assumptions=tuple(self.assumptions),
            parts=tuple(self._parts),
            node_names=node_names,
            node_kind=node_kind,
            node_tier=tier.astype(np.uint8),
            node_part=node_part,
            node_pod=given_pod,
            link_source=source,
            link_target=target,
            link_capacity_bytes_per_s=capacity,
            link_latency_s=latency,
            link_kind=link_kind,
            link_tier=link_tier,
            accelerator_host=accelerator_host,
            accelerator_domain=scale_up_domains(num_accelerators, num_nodes, source, target, link_kind),
            accelerator_rail=_at(nic_rail, nic - num_accelerators),
            accelerator_nic=nic,
            accelerator_leaf=np.full(num_accelerators, -1, np.int32),
            accelerator_pod=np.zeros(num_accelerators, np.int32),
            nic_host=nic_host,
            nic_rail=nic_rail,
            nic_leaf=np.full(num_nics, -1, np.int32),
            host_names=host_names,
            host_rack=_joined(self._host_rack, np.int32),
            host_leaf_group=np.zeros(len(accelerators_each), np.int32),
            host_pod=np.zeros(len(accelerators_each), np.int32),
            host_accelerator_start=start,
            rack_names=rack_names,
        )
        return self._located(fabric)

    def _links(self, offsets: Int64s) -> tuple[Int32s, Int32s, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return source, target, capacity and latency of all directed links, the two of a cable beside each other."""
        a = _joined([c.a for c in self._cables], np.int64)
        b = _joined([c.b for c in self._cables], np.int64)
        a = (offsets[a >> _KIND_SHIFT] + (a & _LOCAL)).astype(np.int32)
        b = (offsets[b >> _KIND_SHIFT] + (b & _LOCAL)).astype(np.int32)
        rate = _joined([c.rate_bytes_per_s for c in self._cables], np.float64)
        reverse = _joined([c.reverse_bytes_per_s for c in self._cables], np.float64)
        latency = _joined([c.latency_s for c in self._cables], np.float64)
        return (
            np.stack([a, b], axis=1).ravel(),
            np.stack([b, a], axis=1).ravel(),
            np.stack([rate, reverse], axis=1).ravel(),
            np.repeat(latency, 2),
        )

    def _located(self, fabric: Fabric) -> Fabric:
        """Return the fabric with leaves, leaf groups and pods filled in, after the checks that need the whole graph."""
        nic_leaf = fabric.first_leaf()
        check_connected(fabric)
        check_nics_cabled(fabric, nic_leaf)
        host_pod = pods(fabric)
        return replace(
            fabric,
            nic_leaf=nic_leaf,
            accelerator_leaf=_at(nic_leaf, fabric.accelerator_nic - fabric.num_accelerators),
            host_leaf_group=leaf_groups(fabric),
            host_pod=host_pod,
            accelerator_pod=host_pod[fabric.accelerator_host],
        )


def _check_size(found: int, most: int, what: str) -> None:
    """Refuse what no machine holds, before it is made."""
    if found > most:
        raise InputError(
            what=f"the fabric has too many {what}",
            found=found,
            allowed=f"at most {most}",
            fix="check the counts, or model a part of the site",
        )


def _joined(arrays: Sequence[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the arrays end to end as one dtype; empty if there are none."""
    return np.concatenate([np.asarray(a, dtype) for a in arrays]) if arrays else np.empty(0, dtype)


def _at(values: Int32s, idx: Int32s) -> Int32s:
    """Return ``values[idx]`` with −1 where `idx` is negative."""
    if not len(values):
        return np.full(len(idx), -1, np.int32)
    return np.where(idx >= 0, values[np.maximum(idx, 0)], -1).astype(np.int32)


def _link_kinds(source_kind: npt.NDArray[np.uint8], target_kind: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the kind of each link from the kinds of its ends."""
    low, high = np.minimum(source_kind, target_kind), np.maximum(source_kind, target_kind)
    kind = np.full(len(low), LinkKind.SCALE_OUT, np.uint8)
    kind[(low == NodeKind.ACCELERATOR) & (high == NodeKind.NIC)] = LinkKind.HOST
    scale_up = (high == NodeKind.SCALE_UP_SWITCH) | (high == NodeKind.ACCELERATOR)
    kind[scale_up] = LinkKind.SCALE_UP
    return kind
