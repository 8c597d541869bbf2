"""How long NCCL's choice takes on the links there are: bandwidth from line rates, latency from NCCL, pipelines filled.

NCCL chooses by an estimate of its own (`planner.collectives.nccl.selection`). That estimate is made to choose well,
not to be right: for reduction in the switch it knows nothing of the chunks that fill the pipeline, and its limits are
those of older machines. Here the choice is taken as given, and its time is reckoned as latency + fill + bytes ÷ rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from planner.collectives.efficiency import Efficiency
from planner.collectives.nccl.constants import TREE_SIZE_CORRECTION_FRAC, Algorithm, Architecture, Protocol
from planner.collectives.nccl.from_fabric import Group
from planner.collectives.nccl.selection import Picks
from planner.collectives.nccl.tuning import TuningTable

__all__ = ["IN_SWITCH_FRAC", "actual_times_s"]

_Floats = npt.NDArray[np.float64]

# Part of the scale-up line rate that an all-reduce in the switch moves (bytes ÷ time), by generation. Hopper: 8 H200,
# 473 to 482 GB/s busbw of 16 GiB (stas00/ml-engineering @744d01e18b79; NVIDIA's own slide says 480 for H100): 270 of
# 450. Blackwell: 8 B200, 841 to 846 GB/s (same; together.ai and Vultr reports): 481 of 900.
IN_SWITCH_FRAC = MappingProxyType({Architecture.HOPPER: 0.60, Architecture.BLACKWELL: 0.535})
_IN_SWITCH_FRAC_ELSEWHERE = 0.5

# Part of the NIC line rate that reduction in the network (SHARP) moves. Two clusters: 8 × 8 H100 0.49, 4 to 46 × 8
# B200 0.68 (CoreWeave's and together.ai's published all-reduces, bytes ÷ time ÷ line rate); their middle.
_IN_NETWORK_FRAC = 0.585

# nvls.cc: channels of the in-switch kernels, and the largest chunk; from four nodes on trees take half of it.
_NVLS_CHANNELS = MappingProxyType({Architecture.HOPPER: 16, Architecture.BLACKWELL: 32})
_NVLS_CHUNK_BYTES = 128 * 1024
_NVLS_TREE_CHUNK_BYTES = 64 * 1024
# enqueue.cc, calcCollChunking: below so many chunks in flight a smaller chunk is taken.
_NVLS_CHUNK_STEPS = ((64, 64 * 1024), (8, 32 * 1024), (2, 16 * 1024))
_NVLS_TREE_CHUNK_STEPS = ((4, 64 * 1024), (1, 32 * 1024))

# tuning.cc: what the protocols leave of a tree's rate.
_TREE_PROTOCOL_FRAC = (1 / 3.8, 120 / 128, 1.0)

_IN_SWITCH = (Algorithm.NVLS, Algorithm.NVLS_TREE)
_IN_NETWORK = (Algorithm.COLLNET_DIRECT, Algorithm.COLLNET_CHAIN)


def _chunk_bytes(sizes: _Floats, flight: float, largest: float, steps: Sequence[tuple[int, int]]) -> _Floats:
    """Return the chunk NCCL takes for each size; `flight` chunks are under way at once."""
    chunk = np.full(sizes.shape, float(largest))
    for times, smaller in steps:
        chunk = np.where((sizes < times * flight * chunk) & (chunk > smaller), float(smaller), chunk)
    return chunk


class _InSwitch:
    """Rates and fill of reduction in the scale-up switch for one group."""

    def __init__(self, group: Group, efficiency: Efficiency, network_frac: float) -> None:
        architecture = group.communicator.architecture
        frac = efficiency.in_switch_frac or IN_SWITCH_FRAC.get(architecture, _IN_SWITCH_FRAC_ELSEWHERE)
        self.inside = group.least("scale_up_bytes_per_s") * frac
        self.nics = group.least("head_nic_bytes_per_s")
        self.network = self.nics * network_frac
        self.units = group.num_units
        self.hops = 2 * (self.units.bit_length() - 1)
        heads = group.communicator.graphs[Algorithm.NVLS].channels
        self.flight = float(heads * _NVLS_CHANNELS.get(architecture, 16))

    def rate(self, algorithm: Algorithm) -> float:
        """Bytes of payload a second."""
        if self.units == 1:
            return self.inside
        if algorithm is Algorithm.NVLS:
            return min(self.inside, self.nics * _IN_NETWORK_FRAC)
        # A node of the two trees sends its half up and down: with two nodes once the payload in all, else twice.
        return min(self.inside, self.network / (1 if self.units == 2 else 2))

    def fill_s(self, algorithm: Algorithm, sizes: _Floats) -> _Floats:
        """Seconds until data comes out: a round of chunks pulled in, one pushed out, one over each hop between."""
        tree = algorithm is Algorithm.NVLS_TREE
        largest = _NVLS_TREE_CHUNK_BYTES if tree and self.units >= 4 else _NVLS_CHUNK_BYTES
        steps = _NVLS_TREE_CHUNK_STEPS if tree else _NVLS_CHUNK_STEPS
        round_bytes = np.minimum(sizes, self.flight * _chunk_bytes(sizes, self.flight, largest, steps))
        if self.units == 1:
            return 2 * round_bytes / self.inside
        stages = round_bytes / self.inside + (self.hops if tree else 2) * round_bytes / self.network
        # A message of a few rounds only keeps few stages busy at once, and waits less for them.
        filled: _Floats = stages * sizes / (sizes + 2 * round_bytes)
        return filled


def _between_units(group: Group, algorithm: Algorithm, network_bytes_per_s: float) -> float:
    """Return the part of the graph's rate that the network lets through."""
    graph = group.communicator.graphs[min(algorithm, Algorithm.NVLS_TREE)]
    wanted = graph.channels * graph.inter_bytes_per_s
    return min(1.0, network_bytes_per_s / wanted) if wanted else 1.0


def _tree_rates(
    group: Group,
    table: TuningTable,
    sizes: _Floats,
    protocol: npt.NDArray[np.int64],
    network_frac: float,
    tree_frac: float,
) -> _Floats:
    """Return what trees between units move: a node's NICs carry the payload once with two nodes, else twice."""
    line = group.least("tree_nic_bytes_per_s") * network_frac / (1 if group.num_units == 2 else 2)
    inside = group.communicator.graphs[Algorithm.TREE]
    most = min(line * tree_frac, inside.channels * inside.intra_bytes_per_s / 2)
    column = np.clip(np.frexp(np.floor(sizes / 64))[1] - 1, 0, TREE_SIZE_CORRECTION_FRAC.shape[1] - 1)
    by_size = TREE_SIZE_CORRECTION_FRAC[protocol, column] if table.collective == "all-reduce" else 1.0
    rates: _Floats = most * np.array(_TREE_PROTOCOL_FRAC)[protocol] * by_size
    return rates


def actual_times_s(
    groups: Sequence[Group],
    table: TuningTable,
    picks: Picks,
    size_bytes: npt.ArrayLike,
    efficiency: Efficiency,
    *,
    fabric_frac: npt.ArrayLike = 1.0,
) -> _Floats:
    """Return the time of what was picked, shape ``(G, S)``.

    Parameters
    ----------
    groups
        ``G`` groups.
    table, picks
        Their tuning table and choices.
    size_bytes
        ``(S,)``.
    efficiency
        What links give.
    fabric_frac
        ``(G,)``: part of their NICs' line rate that the network behind them can carry for the group.
    """
    sizes = np.atleast_1d(np.asarray(size_bytes, dtype=np.float64))
    through = np.broadcast_to(np.asarray(fabric_frac, dtype=np.float64), (len(groups),))
    times = np.empty((len(groups), len(sizes)))
    for i, group in enumerate(groups):
        doublings = max(0.0, float(np.log2(group.num_units)) - 1.0)
        frac = efficiency.network_frac * (1 - efficiency.network_loss_frac) ** doublings * through[i]
        algorithm, protocol = picks.algorithm[i], picks.protocol[i]
        one = group.num_units == 1
        factor = efficiency.scale_up_latency_factor if one else efficiency.latency_factor
        lat = table.latency_s[i, algorithm, protocol] * factor
        rate = table.algbw_bytes_per_s[i, algorithm, protocol]
        for chosen in np.unique(algorithm):
            here = algorithm == chosen
            kind = Algorithm(int(chosen))
            if kind in _IN_SWITCH and table.collective == "all-reduce":
                switch = _InSwitch(group, efficiency, frac)
                rate[here] = switch.rate(kind)
                lat[here] += switch.fill_s(kind, sizes[here]) * efficiency.fill_factor
            elif one:
                # Gathering and scattering through the switch moves what a ring does: 8 B200, 681 and 674 GB/s busbw.
                ring = table.algbw_bytes_per_s[i, Algorithm.RING, Protocol.SIMPLE]
                rate[here] = (ring if kind in _IN_SWITCH else rate[here]) * efficiency.scale_up_frac
            elif kind is Algorithm.TREE:
                rate[here] = _tree_rates(group, table, sizes[here], protocol[here], frac, efficiency.tree_frac)
            else:
                rate[here] *= _between_units(group, kind, group.least("ring_nic_bytes_per_s") * frac)
                if kind in _IN_NETWORK:
                    rate[here] = np.minimum(rate[here], group.least("ring_nic_bytes_per_s") * _IN_NETWORK_FRAC)
        if not one:
            rate = np.where(protocol == Protocol.LL128, rate * efficiency.ll128_frac, rate)
            lat = np.where(algorithm == Algorithm.TREE, lat * efficiency.tree_latency_factor, lat)
        with np.errstate(divide="ignore", invalid="ignore"):
            times[i] = np.where(np.isfinite(picks.time_s[i]), lat + sizes / rate, np.inf)
    return times
