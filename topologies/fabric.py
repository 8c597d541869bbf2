"""`Fabric`: a cluster as a directed multigraph compiled to numpy arrays.

Node numbers run accelerators first, then NICs, then scale-up switches, then scale-out switches. Every cable is two
directed links with neighbouring numbers, so ``link ^ 1`` is the other direction of the same cable. All arrays are
read-only; a changed fabric is a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.html_table import html_table
from topologies.names import Names
from topologies.parts import Part

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Fabric", "Float64s", "Int32s", "Int64s", "LinkKind", "NodeKind", "OutLinks", "UInt8s"]

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt8s = npt.NDArray[np.uint8]
Float64s = npt.NDArray[np.float64]
_ArrayT = TypeVar("_ArrayT", bound=npt.NDArray[Any])


class NodeKind(IntEnum):
    """What a node is."""

    ACCELERATOR = 0
    NIC = 1
    SCALE_UP_SWITCH = 2
    SWITCH = 3


class LinkKind(IntEnum):
    """What a link belongs to: the scale-up domain, the inside of a host (accelerator–NIC), or the scale-out network."""

    SCALE_UP = 0
    HOST = 1
    SCALE_OUT = 2


@dataclass(frozen=True)
class OutLinks:
    """The links that leave each node, in compressed rows: ``link[start[n]:start[n + 1]]`` leave node ``n``."""

    start: Int64s
    link: Int32s


@dataclass(frozen=True, eq=False)
class Fabric:
    """A cluster: nodes, directed links, and where each accelerator sits.

    Sizes: ``N`` nodes, ``L`` directed links, ``A`` accelerators, ``M`` NICs, ``H`` hosts. −1 stands for "none".

    Attributes
    ----------
    name, description
        For people.
    assumptions
        What was assumed or guessed and does not stand in the source of the fabric.
    parts
        The parts in use.
    node_names
        Names of all nodes, ``(N,)``.
    node_kind, node_tier, node_part, node_pod
        ``(N,)``: `NodeKind`; tier of a switch (1 leaf, 2 spine, 3 core; 0 for accelerators and NICs); index into
        `parts`; pod.
    link_source, link_target, link_capacity_bytes_per_s, link_latency_s, link_kind, link_tier
        ``(L,)``; link ``i ^ 1`` is the other direction. A scale-out link's tier is the higher tier of its ends (1 NIC
        to leaf, 2 leaf to spine, 3 spine to core); others have tier 0.
    accelerator_host, accelerator_domain, accelerator_rail, accelerator_nic, accelerator_leaf, accelerator_pod
        ``(A,)``: host; scale-up domain; rail; node number of the NIC nearest to it; node number of that NIC's first
        leaf; pod.
    nic_host, nic_rail, nic_leaf
        ``(M,)``: host; rail; node number of its first leaf.
    host_names, host_rack, host_leaf_group, host_pod
        ``(H,)``: names; rack; leaf group (hosts on the same set of leaves share one); pod.
    host_accelerator_start
        ``(H + 1,)``: accelerators ``start[h]`` to ``start[h + 1] − 1`` sit in host ``h``.
    rack_names
        Names of the racks.
    """

    name: str
    description: str
    assumptions: tuple[str, ...]
    parts: tuple[Part, ...]
    node_names: Names
    node_kind: UInt8s
    node_tier: UInt8s
    node_part: Int32s
    node_pod: Int32s
    link_source: Int32s
    link_target: Int32s
    link_capacity_bytes_per_s: Float64s
    link_latency_s: Float64s
    link_kind: UInt8s
    link_tier: UInt8s
    accelerator_host: Int32s
    accelerator_domain: Int32s
    accelerator_rail: Int32s
    accelerator_nic: Int32s
    accelerator_leaf: Int32s
    accelerator_pod: Int32s
    nic_host: Int32s
    nic_rail: Int32s
    nic_leaf: Int32s
    host_names: Names
    host_rack: Int32s
    host_leaf_group: Int32s
    host_pod: Int32s
    host_accelerator_start: Int64s
    rack_names: Names

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray) and value.flags.writeable:
                value.setflags(write=False)

    # ---- sizes -------------------------------------------------------------------------------------------------

    @property
    def num_nodes(self) -> int:
        """Number of nodes of all kinds."""
        return len(self.node_kind)

    @property
    def num_links(self) -> int:
        """Number of directed links, twice the number of cables."""
        return len(self.link_source)

    @property
    def num_accelerators(self) -> int:
        """Number of accelerators."""
        return len(self.accelerator_host)

    @property
    def num_nics(self) -> int:
        """Number of NICs."""
        return len(self.nic_host)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how much there is of everything."""
        names = ("accelerators", "nics", "hosts", "domains", "leaf_groups", "pods", "links")
        rows = [[name.replace("_", " "), int(getattr(self, f"num_{name}"))] for name in names]
        return html_table(self.name, rows)

    @property
    def num_hosts(self) -> int:
        """Number of hosts."""
        return len(self.host_rack)

    @cached_property
    def num_switches(self) -> int:
        """Number of switches of both kinds."""
        return self.num_nodes - self.num_accelerators - self.num_nics

    @cached_property
    def num_domains(self) -> int:
        """Number of scale-up domains."""
        return int(self.accelerator_domain.max()) + 1

    @cached_property
    def num_rails(self) -> int:
        """Number of rails; 0 if no host has a NIC."""
        return int(self.nic_rail.max()) + 1 if self.num_nics else 0

    @cached_property
    def num_leaf_groups(self) -> int:
        """Number of leaf groups."""
        return int(self.host_leaf_group.max()) + 1

    @cached_property
    def num_pods(self) -> int:
        """Number of pods."""
        return int(self.host_pod.max()) + 1

    @cached_property
    def host_num_accelerators(self) -> Int64s:
        """Accelerators in each host, ``(H,)``."""
        return _locked(np.diff(self.host_accelerator_start))

    @cached_property
    def host_domain(self) -> Int32s:
        """Scale-up domain of each host's first accelerator, ``(H,)``."""
        return _locked(self.accelerator_domain[self.host_accelerator_start[:-1]])

    @cached_property
    def host_part(self) -> Int32s:
        """Index into `parts` of each host's first accelerator, ``(H,)``; −1 if it has none."""
        return _locked(self.node_part[self.host_accelerator_start[:-1]])

    @cached_property
    def accelerator_memory_bytes(self) -> Float64s:
        """Memory of each accelerator, ``(A,)``; infinite where its part does not say."""
        by_part = np.array([p.number("memory_bytes", np.inf) for p in self.parts] + [np.inf])
        return _locked(by_part[self.node_part[: self.num_accelerators]])

    # ---- structure ---------------------------------------------------------------------------------------------

    @cached_property
    def out_links(self) -> OutLinks:
        """The links that leave each node."""
        order = np.argsort(self.link_source, kind="stable").astype(np.int32)
        start = np.zeros(self.num_nodes + 1, np.int64)
        np.cumsum(np.bincount(self.link_source, minlength=self.num_nodes), out=start[1:])
        return OutLinks(_locked(start), _locked(order))

    @cached_property
    def accelerator_scale_up_bytes_per_s(self) -> Float64s:
        """Scale-up bandwidth that leaves each accelerator, one direction, ``(A,)``."""
        mask = (self.link_kind == LinkKind.SCALE_UP) & (self.link_source < self.num_accelerators)
        return _locked(
            np.bincount(
                self.link_source[mask],
                weights=self.link_capacity_bytes_per_s[mask],
                minlength=self.num_accelerators,
            ).astype(np.float64)
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that makes up the fabric, as hex: two fabrics with one fingerprint score alike."""
        digest = hashlib.sha256()
        for f in fields(self):
            value = getattr(self, f.name)
            digest.update(f.name.encode())
            if isinstance(value, np.ndarray):
                digest.update(np.ascontiguousarray(value).tobytes())
            elif f.name == "parts":
                digest.update(repr([(p.id, sorted(p.values.items())) for p in value]).encode())
            elif isinstance(value, Names):
                digest.update("\n".join(value).encode())
            else:
                digest.update(repr(value).encode())
        return digest.hexdigest()

    def node_idx(self, name: str) -> int:
        """Return the number of the node called `name`.

        Raises
        ------
        InputError
            If there is none.
        """
        idx = self.node_names.find(name)
        if idx is None:
            raise InputError(what="no such node in the fabric", where=self.name, found=repr(name))
        return idx

    def host_idx(self, name: str) -> int:
        """Return the number of the host called `name`.

        Raises
        ------
        InputError
            If there is none.
        """
        idx = self.host_names.find(name)
        if idx is None:
            raise InputError(
                what="no such host in the fabric",
                where=self.name,
                found=repr(name),
                allowed=f"{self.num_hosts} hosts, {self.host_names[0]!r} to {self.host_names[-1]!r}",
            )
        return idx

    def host_accelerators(self, host: int) -> Int64s:
        """Return the accelerators of one host, in order."""
        return np.arange(self.host_accelerator_start[host], self.host_accelerator_start[host + 1])

    def link_name(self, link: int) -> str:
        """Return ``source → target`` of one directed link."""
        return f"{self.node_names[self.link_source[link]]} → {self.node_names[self.link_target[link]]}"

    # ---- changed copies ----------------------------------------------------------------------------------------

    def without(self, *, links: Iterable[int] = (), nodes: Iterable[int] = ()) -> Fabric:
        """Return the fabric without some cables and without every cable of some nodes; node numbers stay as they are.

        Parameters
        ----------
        links
            Directed links; the other direction of the same cable goes too.
        nodes
            Node numbers whose cables all go (a broken switch, NIC or accelerator).
        """
        gone = np.zeros(self.num_links, bool)
        chosen = np.fromiter(links, np.int64)
        gone[chosen] = gone[chosen ^ 1] = True
        dead = np.zeros(self.num_nodes, bool)
        dead[np.fromiter(nodes, np.int64)] = True
        gone |= dead[self.link_source] | dead[self.link_target]
        keep = ~gone
        changed = replace(
            self,
            link_source=self.link_source[keep],
            link_target=self.link_target[keep],
            link_capacity_bytes_per_s=self.link_capacity_bytes_per_s[keep],
            link_latency_s=self.link_latency_s[keep],
            link_kind=self.link_kind[keep],
            link_tier=self.link_tier[keep],
        )
        nic_leaf = changed.first_leaf()
        nic = self.accelerator_nic
        leaf = np.where(nic >= 0, nic_leaf[np.maximum(nic - self.num_accelerators, 0)], -1) if self.num_nics else nic
        return replace(changed, nic_leaf=nic_leaf, accelerator_leaf=leaf.astype(np.int32))

    def with_capacity(self, links: Iterable[int], capacity_bytes_per_s: float) -> Fabric:
        """Return the fabric with another capacity on some directed links (a degraded link).

        Raises
        ------
        InputError
            If the capacity is not a positive finite number.
        """
        if not 0 < capacity_bytes_per_s < np.inf:
            raise InputError(what="a link's rate must be positive", where=self.name, found=capacity_bytes_per_s)
        capacity = self.link_capacity_bytes_per_s.copy()
        capacity[np.fromiter(links, np.int64)] = capacity_bytes_per_s
        return replace(self, link_capacity_bytes_per_s=capacity)

    def first_leaf(self) -> Int32s:
        """Return the node number of the first switch on each NIC, ``(M,)``; −1 where a NIC has no cable."""
        first, num = self.num_accelerators, self.num_nics
        leaf = np.full(num, -1, np.int32)
        mask = (self.link_kind == LinkKind.SCALE_OUT) & (self.link_source >= first) & (self.link_source < first + num)
        source, target = self.link_source[mask][::-1], self.link_target[mask][::-1]
        leaf[source - first] = target  # reversed, so that the first cable is written last and stays
        return leaf

    # ---- other forms -------------------------------------------------------------------------------------------

    def to_networkx(self) -> nx.MultiDiGraph[str]:
        """Return the graph for people and algorithms: node names, and every attribute that `from_networkx` reads."""
        from topologies.graphs import to_networkx

        return to_networkx(self)

    @classmethod
    def from_networkx(cls, graph: nx.MultiDiGraph[Any]) -> Fabric:
        """Return the fabric of a graph with the attributes that `to_networkx` writes.

        Raises
        ------
        InputError
            If a node or an edge lacks an attribute, or the graph is no valid fabric.
        """
        from topologies.graphs import from_networkx

        return from_networkx(graph)


def _locked(array: _ArrayT) -> _ArrayT:
    """Return the array, made read-only."""
    array.setflags(write=False)
    return array
