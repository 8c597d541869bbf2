"""Dispatch and combine of mixtures of experts: what each token sends, counted by expected distinct units and ranks.

A token goes once to every *unit* (scale-up domain) that holds one of its experts, over the rail of its sender, and is
handed on inside the unit to every rank that holds one. Combine is the same way back. Experts lie evenly on the ranks,
and a token's experts are drawn evenly without putting back, so that a part with E' of E experts is missed with
probability C(E − E', k) / C(E, k). Source of the two-stage exchange and of its counting: DeepEP (README); of the limit
on units: DeepSeek-V3 (arXiv:2412.19437, node-limited routing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma

import numpy as np
import numpy.typing as npt

from planner.collectives.efficiency import Efficiency, default_efficiency
from planner.collectives.nccl.from_fabric import Group, find_groups
from planner.collectives.network_limits import network_limits
from planner.collectives.point_to_point import exchange_latency_s, scale_up_frac
from topologies.errors import InputError
from topologies.fabric import Fabric, Float64s, Int64s
from topologies.routing.network import Routing

__all__ = ["Experts", "MoeTable", "moe_times"]


@dataclass(frozen=True, slots=True)
class Experts:
    """A layer of experts, and how tokens choose.

    Attributes
    ----------
    num_experts
        All of the layer, spread evenly over the group.
    top_k
        Experts a token chooses.
    max_units
        A token's experts lie in at most so many units; ``None`` for no limit.
    """

    num_experts: int
    top_k: int
    max_units: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= self.num_experts:
            raise InputError(
                what="a token cannot choose so many experts",
                where="top_k",
                found=self.top_k,
                allowed=f"1 to {self.num_experts}",
            )
        if self.max_units is not None and self.max_units < 1:
            raise InputError(what="no unit to choose experts in", where="max_units", found=self.max_units, allowed="1…")


@dataclass(frozen=True, eq=False)
class MoeTable:
    """One dispatch or combine for ``G`` groups.

    Attributes
    ----------
    units_a_token, ranks_a_token
        ``(G,)`` expected distinct units and ranks that a token reaches, its own included.
    nic_bytes, scale_up_bytes
        ``(G,)`` that the average rank sends out of its unit, and inside units (forwarding included).
    logical_bytes
        ``(G,)`` that DeepEP counts for its bandwidth: the token once for every unit, its own included; for every rank
        where the group is one unit.
    time_s
        ``(G,)``.
    bottleneck_link
        ``(G,)`` link that is first full between units; −1 if there is none.
    """

    units_a_token: Float64s
    ranks_a_token: Float64s
    nic_bytes: Float64s
    scale_up_bytes: Float64s
    logical_bytes: Float64s
    time_s: Float64s
    bottleneck_link: Int64s


def _miss_probability(population: float, part: npt.NDArray[np.float64], draws: int) -> npt.NDArray[np.float64]:
    """Return the probability that `draws` without putting back all miss a part: C(N − n, k) / C(N, k)."""

    def log_choose(n: float) -> float:
        return lgamma(n + 1) - lgamma(draws + 1) - lgamma(n - draws + 1) if n >= draws else -np.inf

    whole = log_choose(population)
    return np.array([np.exp(log_choose(population - n) - whole) for n in part])


def _reached(group: Group, experts: Experts) -> tuple[npt.NDArray[np.float64], float]:
    """Return the probability that a token reaches each unit, ``(U,)``, and that it reaches a given rank."""
    ranks, units = group.communicator.num_ranks, group.num_units
    if experts.num_experts % ranks:
        raise InputError(
            what="experts do not spread evenly over the group",
            where="num_experts",
            found=f"{experts.num_experts} on {ranks} ranks",
            allowed="a multiple of the ranks",
        )
    a_rank = experts.num_experts // ranks
    held = a_rank * np.diff(group.member_start).astype(np.float64)
    limit = min(experts.max_units or units, units)
    # With a limit, the experts are drawn from `limit` units, themselves drawn evenly.
    population = experts.num_experts * limit / units
    if population < experts.top_k:
        raise InputError(
            what="so few units hold too few experts",
            where="max_units",
            found=f"{population:g} experts in {limit} of {units} units",
            allowed=f"{experts.top_k} or more",
        )
    drawn = limit / units
    by_unit = drawn * (1 - _miss_probability(population, np.minimum(held, population), experts.top_k))
    by_rank = drawn * float(1 - _miss_probability(population, np.array([float(a_rank)]), experts.top_k)[0])
    return by_unit, by_rank


def moe_times(
    fabric: Fabric,
    groups: Sequence[npt.ArrayLike],
    experts: Experts,
    *,
    tokens: float,
    bytes_a_token: float,
    efficiency: Efficiency | None = None,
    routing: Routing | None = None,
) -> MoeTable:
    """Return what dispatching tokens to experts takes, or combining their answers; the two differ in bytes a token.

    Parameters
    ----------
    fabric, groups
        Where, and for each group its accelerators in rank order.
    experts
        The layer.
    tokens
        That each rank sends.
    bytes_a_token
        Of one token on its way: hidden size × bytes an element, scales included.
    efficiency
        What links give; the fabric's uncalibrated default if ``None``.
    routing
        How flows choose among shortest ways; spraying if ``None``.

    Raises
    ------
    InputError
        If a group is not usable, or the experts do not fit it.
    """
    if not (tokens > 0 and bytes_a_token > 0):
        raise InputError(what="nothing to send", where="tokens", found=f"{tokens} of {bytes_a_token} bytes")
    used = efficiency or default_efficiency(fabric)
    found = find_groups(fabric, groups)
    limits = network_limits(fabric, groups, "all-to-all", routing=routing)
    payload = tokens * bytes_a_token
    columns = np.empty((6, len(found)))
    for i, group in enumerate(found):
        size = np.diff(group.member_start).astype(np.float64)
        ranks = float(size.sum())
        by_unit, by_rank = _reached(group, experts)
        units, reached = float(by_unit.sum()), by_rank * ranks
        # A rank of unit u leaves it for the others; the relay that takes a token in holds its own expert's copy.
        away = float((size / ranks) @ (units - by_unit))
        inside = by_rank * float((size - 1).sum())
        # The same passages as those of an all-to-all, whose ranks each send their buffer's share to every other unit.
        exchange_away = float((size / ranks) @ (ranks - size)) / ranks
        network = payload * away / exchange_away if exchange_away else 0.0
        line = group.least("scale_up_bytes_per_s")
        rate = line * scale_up_frac(group) * used.exchange_frac
        between_s = network * limits.network_s_per_byte[i] / used.exchange_frac
        inside_s = payload * inside / rate if rate else 0.0
        latency = exchange_latency_s(group, max(group.num_units - 1, 1), used)
        columns[:, i] = (
            units,
            reached,
            payload * away,
            payload * inside,
            payload * (units if group.num_units > 1 else reached),
            latency + max(between_s, inside_s),
        )
    units_a_token, ranks_a_token, nic_bytes, scale_up_bytes, logical_bytes, time_s = columns
    return MoeTable(
        units_a_token, ranks_a_token, nic_bytes, scale_up_bytes, logical_bytes, time_s, limits.bottleneck_link
    )
