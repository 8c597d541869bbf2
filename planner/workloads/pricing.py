"""Times of collectives of strided groups, by a cluster's bandwidths, for any number of mappings at once.

A group is told by its size and its stride in rank order, tensor parallel ranks lying next to each other. The forms are
those that `planner.collectives` uses on fabrics: rings with NCCL's latencies, in-switch reduction in a domain, direct
exchanges, and the same efficiencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective
from planner.collectives.nccl.constants import BASE_LATENCY_US, LINK_LATENCY_US, NETWORK_LATENCY_US, Algorithm
from planner.collectives.nccl.constants import Protocol as NcclProtocol
from planner.collectives.point_to_point import PAIR_CHANNEL_BYTES_PER_S, PAIR_CHANNELS
from planner.workloads.machine import Machine
from topologies.units import from_us

__all__ = ["BandwidthPricer", "Pricer"]

_Floats = npt.NDArray[np.float64]

# What NCCL counts of the scale-up line rate: 20.6 of 25 GB/s a Hopper link, 40.1 of 50 a Blackwell link (tuning.cc).
_COUNTED_FRAC = 0.81
_IN_SWITCH_FRAC = {"hopper": 0.60, "blackwell": 0.535, "blackwell-ultra": 0.535}
_PROTOCOL_FRAC = ((NcclProtocol.LL, 0.5), (NcclProtocol.LL128, 0.92), (NcclProtocol.SIMPLE, 1.0))
_PEERS_AT_ONCE = 8


class Pricer(Protocol):
    """Tells what collectives take."""

    def time_s(self, collective: Collective, ranks: _Floats, stride: _Floats, size_bytes: _Floats) -> _Floats:
        """Return the time of one collective for each of ``N`` groups; 0 for groups of one.

        Parameters
        ----------
        collective
            Which; sizes as nccl-tests counts them.
        ranks, stride
            ``(N,)`` members, and how far apart they lie in rank order.
        size_bytes
            ``(N,)``.
        """


def _latency_s(algorithm: Algorithm, protocol: NcclProtocol) -> tuple[float, float, float]:
    return (
        from_us(float(BASE_LATENCY_US[algorithm, protocol])),
        from_us(float(LINK_LATENCY_US[0, algorithm, protocol])),
        from_us(float(NETWORK_LATENCY_US[algorithm, protocol])),
    )


def _pair_limit(units: _Floats) -> _Floats:
    """Return what the network channels that serve one pair of ranks move."""
    channels = np.maximum(1.0, np.ceil(PAIR_CHANNELS / np.maximum(units, 2.0)))
    result: _Floats = channels * PAIR_CHANNEL_BYTES_PER_S
    return result


@dataclass(frozen=True)
class BandwidthPricer:
    """Prices collectives by the bandwidths of a `Machine`.

    Attributes
    ----------
    machine
        The cluster.
    """

    machine: Machine

    def time_s(self, collective: Collective, ranks: _Floats, stride: _Floats, size_bytes: _Floats) -> _Floats:
        """Return the time of one collective for each group; see `Pricer`."""
        p, stride, size = np.broadcast_arrays(
            np.asarray(ranks, np.float64), np.asarray(stride, np.float64), np.asarray(size_bytes, np.float64)
        )
        inside = self._inside(p, stride)
        units = np.ceil(p / inside)
        if collective == "all-to-all":
            time = self._exchange(p, inside, units, stride, size)
        elif collective == "send-recv":
            time = self._hand_on(units, stride, size)
        else:
            time = self._ring(collective, p, inside, units, stride, size)
        result: _Floats = np.where((p > 1) & (size > 0), time, 0.0)
        return result

    def _inside(self, p: _Floats, stride: _Floats) -> _Floats:
        """Return members of a group that share a domain, for the group that the domains' borders cut worst.

        Groups lie one after the other, and so do domains: the smallest piece that a border cuts off is the greatest
        common divisor of both lengths.
        """
        length = np.rint(p * stride).astype(np.int64)
        piece = np.gcd(length, self.machine.domain)
        result: _Floats = np.clip(np.floor(piece / stride), 1.0, p)
        return result

    def _nic_rate(self, units: _Floats) -> _Floats:
        used = self.machine.efficiency
        doublings = np.maximum(np.log2(np.maximum(units, 1.0)) - 1.0, 0.0)
        rate: _Floats = self.machine.nic_bytes_per_s * used.network_frac * (1 - used.network_loss_frac * doublings)
        return rate

    def _under_a_leaf(self, p: _Floats, stride: _Floats) -> _Floats:
        """Return members of a group that hang on one group of leaves."""
        return np.clip(np.floor(self.machine.leaf_accelerators / stride), 1.0, p)

    def _ring(
        self, collective: Collective, p: _Floats, inside: _Floats, units: _Floats, stride: _Floats, size: _Floats
    ) -> _Floats:
        machine = self.machine
        used = machine.efficiency
        passes = 2.0 if collective == "all-reduce" else 1.0
        up = machine.scale_up_bytes_per_s * _COUNTED_FRAC * used.scale_up_frac
        under = self._under_a_leaf(p, stride)
        # One hop of each ring leaves a leaf for each of its members there.
        through = np.where(under < p, np.minimum(1.0, under / inside / machine.oversubscription), 1.0)
        out = inside * self._nic_rate(units) * through
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(units > 1, np.minimum(out, np.where(inside > 1, up, np.inf)), up)
            moved = passes * (p - 1) / p * size
            ring, tree = np.full(p.shape, np.inf), np.full(p.shape, np.inf)
            for protocol, frac in _PROTOCOL_FRAC:
                base, link, net = _latency_s(Algorithm.RING, protocol)
                hops_out = np.where(units > 1, passes * (units - 1), 0.0)
                hops_in = passes * (p - 1) - hops_out
                ring = np.minimum(
                    ring, base + hops_in * link + hops_out * net * used.latency_factor + moved / (rate * frac)
                )
                base, link, net = _latency_s(Algorithm.TREE, protocol)
                depth = 2 * ((inside - 1) * link + np.floor(np.log2(units)) * net * used.latency_factor)
                tree = np.minimum(tree, base + depth + 2 * size / (0.92 * rate * frac))
            if collective != "all-reduce":
                return ring
            best: _Floats = np.minimum(ring, tree)
            in_switch = _IN_SWITCH_FRAC.get(machine.generation.name)
            if in_switch is not None:
                base, link, _ = _latency_s(Algorithm.NVLS, NcclProtocol.SIMPLE)
                frac = used.in_switch_frac or in_switch
                reduced = base + link + size / (machine.scale_up_bytes_per_s * frac)
                best = np.where((units == 1) & (p > 2), np.minimum(best, reduced), best)
        return best

    def _exchange(self, p: _Floats, inside: _Floats, units: _Floats, stride: _Floats, size: _Floats) -> _Floats:
        machine, used = self.machine, self.machine.efficiency
        base, link, net = _latency_s(Algorithm.RING, NcclProtocol.SIMPLE)
        under = self._under_a_leaf(p, stride)
        leaving = np.where(under < p, (p - under) / p * machine.oversubscription, 0.0)
        out_bytes = np.maximum((p - inside) / p, leaving) * size
        rate = machine.nic_bytes_per_s * used.exchange_frac
        with np.errstate(divide="ignore", invalid="ignore"):
            out = np.where(units > 1, out_bytes / rate, 0.0)
            up = (inside - 1) / p * size / (machine.scale_up_bytes_per_s * _COUNTED_FRAC * used.exchange_frac)
        up = np.where(inside > 1, up, 0.0)
        rounds = np.ceil((p - 1) / _PEERS_AT_ONCE)
        result: _Floats = base + rounds * np.where(units > 1, net * used.latency_factor, link) + np.maximum(out, up)
        return result

    def _hand_on(self, units: _Floats, stride: _Floats, size: _Floats) -> _Floats:
        machine, used = self.machine, self.machine.efficiency
        base, link, net = _latency_s(Algorithm.RING, NcclProtocol.SIMPLE)
        crosses = (units > 1) | (stride >= machine.domain)
        with np.errstate(divide="ignore"):
            pair = np.minimum(machine.nic_bytes_per_s * used.pair_frac, _pair_limit(units))
            out = base + net * used.latency_factor + size / pair
            up = base + link + size / (machine.scale_up_bytes_per_s * _COUNTED_FRAC * used.scale_up_frac)
        result: _Floats = np.where(crosses, out, up)
        return result
