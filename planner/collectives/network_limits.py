"""What the network behind the NICs can carry of a group's collective, and the link that is first full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective
from planner.collectives.traffic import Demand, job_flows
from topologies.fabric import Fabric, Float64s, Int64s, LinkKind
from topologies.routing.network import Routing
from topologies.routing.spray import Spray

__all__ = ["NetworkLimits", "network_limits"]

_NIC_TIER = 1


@dataclass(frozen=True, eq=False)
class NetworkLimits:
    """Seconds a byte of payload, by kind of link, for each of ``G`` groups alone on the fabric.

    Attributes
    ----------
    nic_s_per_byte
        On the fullest link between a NIC and its leaf; 0 where nothing leaves the unit.
    network_s_per_byte
        On the fullest link of the scale-out network, those included.
    scale_up_s_per_byte
        On the fullest scale-up link.
    bottleneck_link
        The fullest link of all; −1 if no link is used.
    scale_up_steps, scale_out_steps
        Messages that follow each other inside units and between them.
    """

    nic_s_per_byte: Float64s
    network_s_per_byte: Float64s
    scale_up_s_per_byte: Float64s
    bottleneck_link: Int64s
    scale_up_steps: Int64s
    scale_out_steps: Int64s

    @property
    def through_frac(self) -> Float64s:
        """Part of the NICs' line rate that the network behind them carries, ``(G,)``."""
        frac = np.ones(len(self.nic_s_per_byte))
        np.divide(self.nic_s_per_byte, self.network_s_per_byte, out=frac, where=self.network_s_per_byte > 0)
        return frac


def network_limits(
    fabric: Fabric,
    groups: Sequence[npt.ArrayLike],
    collective: Collective,
    *,
    algorithm: str = "ring",
    routing: Routing | None = None,
) -> NetworkLimits:
    """Route the collective of each group alone and find its fullest links.

    Parameters
    ----------
    fabric, groups, collective
        Where, which accelerators in rank order, and what.
    algorithm
        As `planner.collectives.traffic.Demand`; all-to-all is always a direct exchange.
    routing
        How flows choose among shortest ways; spraying if ``None``, the most a network can carry.

    Raises
    ------
    InputError
        If a group is not usable or a flow has no way.
    """
    # The scoring of many jobs stands above this module and uses its flows.
    from planner.congestion.loads import loads_of

    flows = job_flows(fabric, groups, [Demand(1.0, collective, algorithm) for _ in groups])
    loads = loads_of(fabric, flows, routing or Spray())
    incidence, channels = loads.incidence, loads.channels
    key = incidence.entry_row() * np.int64(channels.num_channels) + incidence.link
    whole, inverse = np.unique(key, return_inverse=True)
    weight = np.bincount(inverse.ravel(), weights=incidence.multiplicity, minlength=len(whole))
    row, channel = np.divmod(whole, channels.num_channels)
    seconds = weight * loads.row_bytes[row] / channels.capacity_bytes_per_s[channel]
    group, link = row // loads.num_phases, channels.tightest_link[channel]
    kind = fabric.link_kind[link]

    def most(mask: npt.NDArray[np.bool_]) -> Float64s:
        result = np.zeros(len(groups))
        np.maximum.at(result, group[mask], seconds[mask])
        return result

    bottleneck = np.full(len(groups), -1, np.int64)
    order = np.lexsort((link, -seconds, group))
    first = np.unique(group[order], return_index=True)
    bottleneck[first[0]] = link[order[first[1]]]
    out = kind == LinkKind.SCALE_OUT
    return NetworkLimits(
        nic_s_per_byte=most(out & (fabric.link_tier[link] <= _NIC_TIER)),
        network_s_per_byte=most(out),
        scale_up_s_per_byte=most(kind == LinkKind.SCALE_UP),
        bottleneck_link=bottleneck,
        scale_up_steps=flows.scale_up_steps,
        scale_out_steps=flows.scale_out_steps,
    )
