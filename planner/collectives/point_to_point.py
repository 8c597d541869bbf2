"""All-to-all and send-recv as NCCL does them: plain messages between pairs, several at a time.

NCCL has no tuning for these. Their rate is that of the fullest link; a lone pair gets less, as few channels serve one
peer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from planner.collectives.efficiency import Efficiency
from planner.collectives.nccl.constants import BASE_LATENCY_US, LINK_LATENCY_US, NETWORK_LATENCY_US, Algorithm, Protocol
from planner.collectives.nccl.from_fabric import Group
from planner.collectives.nccl.hardware import counted_nvlink_bytes_per_s
from planner.collectives.network_limits import NetworkLimits
from topologies.units import from_us

__all__ = [
    "PAIR_CHANNELS",
    "PAIR_CHANNEL_BYTES_PER_S",
    "exchange_latency_s",
    "exchange_times_s",
    "pair_channels",
    "scale_up_frac",
    "send_recv_times_s",
]

_Floats = npt.NDArray[np.float64]

# NCCL serves so many peers at a time (device.h, NCCL_MAX_DEV_WORK_P2P_PER_BATCH).
_PEERS_AT_ONCE = 8
_BASE_S = from_us(float(BASE_LATENCY_US[Algorithm.RING, Protocol.SIMPLE]))
_INSIDE_S = from_us(float(LINK_LATENCY_US[0, Algorithm.RING, Protocol.SIMPLE]))
_BETWEEN_S = from_us(float(NETWORK_LATENCY_US[Algorithm.RING, Protocol.SIMPLE]))

# One network channel moves this much for a pair of ranks, and sixteen are dealt out over the units: send-recv of 10
# H100 hosts gives 26.2 GB/s (two channels), of B200 hosts 15.2 from 16 hosts on (one), 26 at 8, and what the NIC
# gives at 2 and 4 (xxrjun/nccl-tests-cluster; together.ai's sweeps).
PAIR_CHANNEL_BYTES_PER_S = 13.1e9
PAIR_CHANNELS = 16


def pair_channels(num_units: int) -> int:
    """Return how many network channels serve one pair of ranks."""
    return max(1, -(-PAIR_CHANNELS // num_units))


def exchange_latency_s(group: Group, peers: int, efficiency: Efficiency) -> float:
    """Return the base and a hop for each round of peers."""
    between = group.num_units > 1
    factor = efficiency.latency_factor if between else efficiency.scale_up_latency_factor
    return factor * (_BASE_S + -(-peers // _PEERS_AT_ONCE) * (_BETWEEN_S if between else _INSIDE_S))


def scale_up_frac(group: Group) -> float:
    """Return what NCCL counts of the scale-up line rate."""
    line = group.least("scale_up_bytes_per_s")
    return counted_nvlink_bytes_per_s(line, group.communicator.architecture) / line if line else 1.0


def exchange_times_s(groups: Sequence[Group], limits: NetworkLimits, sizes: _Floats, efficiency: Efficiency) -> _Floats:
    """Return the time of all-to-alls, ``(G, S)``: the fullest link's bytes at what an exchange gets of its rate.

    Parameters
    ----------
    groups, limits
        The groups, and their fullest links under an all-to-all.
    sizes
        ``(S,)``.
    efficiency
        What links give.
    """
    times = np.empty((len(groups), len(sizes)))
    for i, group in enumerate(groups):
        ranks = group.communicator.num_ranks
        lone = ranks == 2 and group.num_units == 2
        frac = efficiency.pair_frac if lone else efficiency.exchange_frac
        network = limits.network_s_per_byte[i] / frac
        inside = limits.scale_up_s_per_byte[i] / (efficiency.exchange_frac * scale_up_frac(group))
        times[i] = exchange_latency_s(group, ranks - 1, efficiency) + sizes * max(network, inside)
    return times


def send_recv_times_s(
    groups: Sequence[Group], limits: NetworkLimits, sizes: _Floats, efficiency: Efficiency
) -> _Floats:
    """Return the time in which every rank sends to the next one and receives from the one before, ``(G, S)``."""
    times = np.empty((len(groups), len(sizes)))
    for i, group in enumerate(groups):
        inside = 0.0
        line = group.least("scale_up_bytes_per_s")
        if line:
            inside = 1.0 / (line * scale_up_frac(group) * efficiency.scale_up_frac)
        between = 0.0
        if group.num_units > 1:
            nic = min(float(kind.view.nic_bytes_per_s.min()) for kind in set(group.kind))
            pair = min(nic * efficiency.pair_frac, pair_channels(group.num_units) * PAIR_CHANNEL_BYTES_PER_S)
            between = 1.0 / (pair * limits.through_frac[i])
        times[i] = exchange_latency_s(group, 1, efficiency) + sizes * max(inside, between)
    return times
