"""NCCL's tuning model: latency and bandwidth of each algorithm and protocol, for many communicators at once.

Re-implemented from the description of NCCL 2.30's ``src/graph/tuning.cc`` (function ``ncclTopoTuneModel``).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective
from planner.collectives.nccl import constants as c
from planner.collectives.nccl.communicators import Communicators
from planner.collectives.nccl.constants import Algorithm, PathType, Pattern, Protocol
from topologies.errors import InputError
from topologies.units import from_gb_per_s, from_us

__all__ = ["SUPPORTED", "TuningTable", "tune"]

_Floats = npt.NDArray[np.float64]

# tuning.cc: which algorithms a collective has.
SUPPORTED: MappingProxyType[Collective, tuple[Algorithm, ...]] = MappingProxyType(
    {
        "all-reduce": tuple(a for a in Algorithm if a is not Algorithm.PAT),
        "all-gather": (Algorithm.RING, Algorithm.COLLNET_DIRECT, Algorithm.NVLS, Algorithm.PAT),
        "reduce-scatter": (Algorithm.RING, Algorithm.COLLNET_DIRECT, Algorithm.NVLS, Algorithm.PAT),
        "broadcast": (Algorithm.RING,),
        "reduce": (Algorithm.RING,),
    }
)
_ONE_PASS = frozenset({"all-gather", "reduce-scatter"})
_SIMPLE_ONLY = frozenset(
    {Algorithm.NVLS, Algorithm.NVLS_TREE, Algorithm.COLLNET_DIRECT, Algorithm.COLLNET_CHAIN, Algorithm.PAT}
)

_TREE_BANDWIDTH_FRAC = 0.92
_TREE_LL_DIVISOR = 3.8
_PLAIN_TREE_FRAC = 0.85
_LL128_PAYLOAD_FRAC = 120 / 128
_LL128_RING_FRAC = 0.92
_LL128_ONE_NODE_TREE_FRAC = 7 / 9
_COLLNET_HOPPER_FRAC = 0.85
_COLLNET_GATHER_NIC_FRAC = 0.9
_PAT_FRAC = 0.75
_PAT_STEP_DIVISOR = 3.5
_PAT_RANK_LATENCY_US = 2.8


@dataclass(frozen=True, slots=True)
class TuningTable:
    """Latency and algorithm bandwidth of one collective.

    Attributes
    ----------
    collective
        Which.
    latency_s, algbw_bytes_per_s
        Shape ``(G, num algorithms, num protocols)``. A bandwidth of 0 means that NCCL does not use the combination.
    """

    collective: Collective
    latency_s: _Floats
    algbw_bytes_per_s: _Floats


class _Model:
    """The model's intermediate figures for one batch of communicators, every one of shape ``(G,)``."""

    def __init__(self, comms: Communicators, collective: Collective) -> None:
        self.comms = comms
        self.collective = collective
        self.nodes = comms.num_nodes
        self.ranks = comms.num_ranks
        self.ppn = comms.num_ranks / comms.num_nodes
        self.whole_ppn = comms.num_ranks // comms.num_nodes
        self.scale = np.minimum(comms.num_nodes, 3) - 1
        self.steps = {"all-reduce": 2 * (self.ranks - 1)}.get(
            collective, self.ranks - 1 if collective in _ONE_PASS else self.ranks
        )
        self.log2_nodes: _Floats = np.frexp(comms.num_nodes.astype(np.float64))[1] - 1.0

    def by_architecture(self, table: _Floats) -> _Floats:
        """Look a table of channel limits up, in bytes/s."""
        limits: _Floats = table[self.comms.architecture, self.scale]
        return from_gb_per_s(limits)

    def ll_max_bytes_per_s(self) -> _Floats:
        """Limit of the LL protocol: one node goes by the accelerator, more by the host processor."""
        amd = np.isin(self.comms.cpu, (c.Cpu.AMD, c.Cpu.MIXED))
        row = np.where(self.nodes == 1, self.comms.architecture, np.where(amd, 1, 0))
        limits: _Floats = c.LL_MAX_GB_PER_S[row, self.scale]
        return from_gb_per_s(limits)

    def channel_bytes_per_s(self, algorithm: Algorithm) -> _Floats:
        """Rate of one channel: the intra-node rate up to two nodes and for CollNet, else the inter-node rate."""
        intra = self.comms.graph_intra_bytes_per_s[:, algorithm]
        inter = self.comms.graph_inter_bytes_per_s[:, algorithm]
        if algorithm in (Algorithm.COLLNET_DIRECT, Algorithm.COLLNET_CHAIN):
            return intra
        if algorithm not in (Algorithm.NVLS, Algorithm.NVLS_TREE):
            return np.where(self.nodes <= 2, intra, inter)
        channels = self.comms.graph_channels[:, algorithm]
        share = (channels - 1) / np.maximum(channels, 1)
        inside = intra * c.NVLS_EFFICIENCY_FRAC[self.comms.architecture] * share
        inside = inside * (2.0 if self.collective == "all-reduce" else (self.ppn - 1) / self.ppn)
        limit = np.inf if algorithm is Algorithm.NVLS else self.by_architecture(c.NVLS_TREE_MAX_GB_PER_S)
        between = inter * np.where((self.nodes <= 2) & (algorithm is Algorithm.NVLS_TREE), 2.0, 1.0)
        return np.where(channels < 2, 0.0, np.minimum(np.minimum(inside, between), limit))

    def busbw(self, algorithm: Algorithm, protocol: Protocol) -> _Floats:
        """Bus bandwidth with NCCL's refinements."""
        channels = self.comms.graph_channels[:, algorithm]
        rate = self.channel_bytes_per_s(algorithm)
        bus = channels * rate
        if algorithm is Algorithm.RING:
            return self._ring(bus, channels, protocol)
        if algorithm is Algorithm.TREE:
            return self._tree(bus, channels, protocol)
        if algorithm is Algorithm.PAT:
            return bus * _PAT_FRAC
        if algorithm is Algorithm.COLLNET_DIRECT:
            return self._collnet_direct(bus, channels)
        return bus

    def _ring(self, bus: _Floats, channels: npt.NDArray[np.int64], protocol: Protocol) -> _Floats:
        if protocol is Protocol.LL:
            return np.minimum(self.ll_max_bytes_per_s(), bus / 2)
        if protocol is Protocol.LL128:
            limit = channels * self.by_architecture(c.RING_LL128_CHANNEL_GB_PER_S)
            return np.minimum(bus * _LL128_RING_FRAC, limit)
        return bus

    def _tree(self, bus: _Floats, channels: npt.NDArray[np.int64], protocol: Protocol) -> _Floats:
        bus = np.minimum(bus * _TREE_BANDWIDTH_FRAC, channels * self.by_architecture(c.TREE_CHANNEL_GB_PER_S))
        if protocol is Protocol.LL:
            bus = np.minimum(bus / _TREE_LL_DIVISOR, self.ll_max_bytes_per_s())
        elif protocol is Protocol.LL128:
            payload = np.where(self.nodes == 1, _LL128_ONE_NODE_TREE_FRAC, _LL128_PAYLOAD_FRAC)
            bus = np.minimum(bus * payload, channels * self.by_architecture(c.TREE_LL128_CHANNEL_GB_PER_S))
        plain = self.comms.graph_pattern[:, Algorithm.TREE] == Pattern.TREE
        return np.where(plain, _PLAIN_TREE_FRAC, 1.0) * bus

    def _collnet_direct(self, bus: _Floats, channels: npt.NDArray[np.int64]) -> _Floats:
        graph = Algorithm.COLLNET_DIRECT
        if self.collective in _ONE_PASS:
            intra = self.comms.graph_intra_bytes_per_s[:, graph]
            inter = self.comms.graph_inter_bytes_per_s[:, graph]
            one_nic_each = (self.nodes == 1) | (self.ppn <= channels)
            return np.where(one_nic_each, self.ppn * np.minimum(intra, inter * _COLLNET_GATHER_NIC_FRAC), 0.0)
        per_nic = self.ppn / np.maximum(channels, 1)
        hopper = np.where(self.comms.architecture >= c.Architecture.HOPPER, _COLLNET_HOPPER_FRAC, 1.0)
        result: _Floats = bus / ((per_nic + 1) / 2) * hopper
        return result

    def algbw_ratio(self, algorithm: Algorithm) -> _Floats:
        """Algorithm bandwidth ÷ bus bandwidth."""
        if algorithm is not Algorithm.RING and self.collective in _ONE_PASS:
            return np.ones(len(self.comms))
        if algorithm in (Algorithm.RING, Algorithm.NVLS, Algorithm.NVLS_TREE):
            return self.ranks / np.maximum(self.steps, 1)
        return np.full(len(self.comms), 0.5)

    def latency_us(self, algorithm: Algorithm, protocol: Protocol) -> _Floats:
        """Latency with NCCL's hop counts."""
        nvlink = self.comms.graph_intra_path[:, algorithm] == PathType.NVL
        base = float(c.BASE_LATENCY_US[algorithm, protocol])
        intra: _Floats = c.LINK_LATENCY_US[np.where(nvlink, 0, 1), algorithm, protocol]
        inter: _Floats = np.where(
            self.ppn == 1, c.NETWORK_LATENCY_US[Algorithm.TREE, protocol], c.NETWORK_LATENCY_US[algorithm, protocol]
        )
        inside, many = (self.whole_ppn - 1).astype(np.float64), self.nodes > 1
        if algorithm is Algorithm.RING:
            return base + self._ring_hops_us(protocol, nvlink, intra, inter)
        if algorithm is Algorithm.TREE:
            return base + 2 * (inside * intra + self.log2_nodes * inter)
        if algorithm is Algorithm.COLLNET_DIRECT:
            return base + 2 * (np.minimum(1, inside) * intra + inside * c.COLLNET_ARITY_LATENCY_US) + inter
        if algorithm is Algorithm.COLLNET_CHAIN:
            return base + 2 * inside * intra + inter
        if algorithm is Algorithm.NVLS:
            return intra + np.where(many, inter, 0.0)
        if algorithm is Algorithm.NVLS_TREE:
            return base + intra + 2 * self.log2_nodes * inter
        return base + self.log2_nodes * inter / _PAT_STEP_DIVISOR + self.ranks * _PAT_RANK_LATENCY_US

    def _ring_hops_us(
        self, protocol: Protocol, nvlink: npt.NDArray[np.bool_], intra: _Floats, inter: _Floats
    ) -> _Floats:
        many = self.nodes > 1
        if self.collective in ("broadcast", "reduce"):
            # The chain starts as soon as a chunk has come: NCCL takes Tree's chunk latency for Simple.
            first = np.where(many, c.NETWORK_LATENCY_US[Algorithm.RING, protocol], intra)
            kind = Algorithm.TREE if protocol is Protocol.SIMPLE else Algorithm.RING
            inside = c.LINK_LATENCY_US[np.where(nvlink, 0, 1), kind, protocol]
            each = np.where(many, c.NETWORK_LATENCY_US[kind, protocol], inside)
            same = self.comms.graph_same_channels[:, Algorithm.RING]
            return np.where(same, first, self.steps * each)
        overhead = c.NET_OVERHEAD_US[self.comms.cpu] * np.where(many, 1.0, 0.0)
        if protocol is Protocol.SIMPLE:
            overhead = overhead * c.SIMPLE_NET_OVERHEAD_FACTOR
        between = (2 if self.collective == "all-reduce" else 1) * (self.nodes - 1)
        hops: _Floats = (self.steps - between) * np.maximum(intra, overhead) + between * inter
        return hops

    def enabled(self, algorithm: Algorithm, protocol: Protocol) -> npt.NDArray[np.bool_]:
        """Whether NCCL considers the combination at all."""
        comms, many = self.comms, self.nodes > 1
        usable = comms.graph_channels[:, algorithm] > 0
        if algorithm is Algorithm.NVLS:
            usable = usable & (comms.collnet | ~many)
            if self.collective in _ONE_PASS:
                usable = usable & (~many | (self.ppn <= comms.graph_channels[:, Algorithm.COLLNET_DIRECT]))
        elif algorithm is Algorithm.NVLS_TREE:
            usable = usable & many
        elif algorithm in (Algorithm.COLLNET_DIRECT, Algorithm.COLLNET_CHAIN):
            usable = usable & comms.collnet & (comms.nvswitch | (algorithm is Algorithm.COLLNET_CHAIN))
        elif algorithm is Algorithm.PAT:
            usable = usable & (self.nodes == self.ranks)
        if protocol is Protocol.LL128:
            hopper = comms.architecture >= c.Architecture.HOPPER
            furthest = np.where(hopper, PathType.PXN, PathType.PXB)
            usable = usable & (comms.graph_inter_path[:, algorithm] <= furthest)
            usable = usable & (comms.graph_intra_path[:, algorithm] <= PathType.NVB)
            usable = usable & (comms.same_architecture | hopper)
        return usable


def tune(comms: Communicators, collective: Collective) -> TuningTable:
    """Return NCCL's latency and bandwidth table of a collective.

    Parameters
    ----------
    comms
        ``G`` communicators, each of two ranks or more.
    collective
        One that NCCL tunes: not all-to-all or send-recv, which are plain point-to-point there.

    Raises
    ------
    InputError
        If NCCL has no tuning of the collective.
    """
    if collective not in SUPPORTED:
        raise InputError(
            what="NCCL does not tune this collective", where="--op", found=collective, allowed=", ".join(SUPPORTED)
        )
    model = _Model(comms, collective)
    shape = (len(comms), len(Algorithm), len(Protocol))
    latency_us, bandwidth = np.zeros(shape), np.zeros(shape)
    for algorithm in SUPPORTED[collective]:
        for protocol in Protocol:
            if protocol is not Protocol.SIMPLE and algorithm in _SIMPLE_ONLY:
                continue
            algbw = model.busbw(algorithm, protocol) * model.algbw_ratio(algorithm)
            bandwidth[:, algorithm, protocol] = np.where(model.enabled(algorithm, protocol), algbw, 0.0)
            latency_us[:, algorithm, protocol] = model.latency_us(algorithm, protocol)
    latency_s = latency_us * from_us(1.0)
    latency_s.setflags(write=False)
    bandwidth.setflags(write=False)
    return TuningTable(collective, latency_s, bandwidth)
