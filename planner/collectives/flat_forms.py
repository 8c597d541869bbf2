"""The closed α-β forms on a fabric: α and β of a group read from its links."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective
from planner.collectives.efficiency import Efficiency
from planner.collectives.forms import FORMS, algorithms, form_time_s, hierarchical_all_reduce, hierarchical_one_pass
from planner.collectives.nccl.from_fabric import Group
from planner.collectives.network_limits import NetworkLimits
from topologies.errors import InputError
from topologies.fabric import Fabric, LinkKind
from topologies.units import from_us

__all__ = ["HIERARCHICAL", "form_times_s"]

_Floats = npt.NDArray[np.float64]

HIERARCHICAL = "hierarchical"
_HIERARCHICAL_CHUNKS = 4

# What software adds to a message beside the links' own latency. Source: NCCL's ring step of the LL protocol, 2.7 µs
# over the network and 0.6 µs over NVLink (tuning.cc), less the links' measured 0.9 and 0.3 µs one way.
_SOFTWARE_S = from_us(1.8)


def _message_latency_s(fabric: Fabric, group: Group, *, inter: bool) -> float:
    """Return the latency of the longest kind of message: all tiers up and down between units, else over scale-up."""
    latency, kind, tier = fabric.link_latency_s, fabric.link_kind, fabric.link_tier
    if not inter:
        inside = latency[kind == LinkKind.SCALE_UP]
        hops = 1 if not any(k.view.has_switch for k in group.kind) else 2
        return hops * float(inside.max(initial=0.0)) + _SOFTWARE_S
    host = float(latency[kind == LinkKind.HOST].max(initial=0.0))
    out = kind == LinkKind.SCALE_OUT
    tiers = {int(t): float(latency[out & (tier == t)].max()) for t in np.unique(tier[out])}
    leaves = {int(leaf) for leaf in fabric.accelerator_leaf[group.member]}
    pods = {int(pod) for pod in fabric.accelerator_pod[group.member]}
    top = 1 if len(leaves) == 1 else 2 if len(pods) == 1 else 3
    return 2 * (host + sum(value for t, value in tiers.items() if t <= top)) + _SOFTWARE_S


def _rates(group: Group, limits: NetworkLimits, place: int, efficiency: Efficiency) -> tuple[float, float]:
    """Return bytes/s of one rank inside its unit, and of one rank to another unit."""
    inside = group.least("scale_up_bytes_per_s") * 0.8 * efficiency.scale_up_frac
    if group.num_units == 1:
        return inside, 0.0
    frac = efficiency.network_frac * float(limits.through_frac[place])
    a_rank = min(float(kind.view.nic_bytes_per_s.sum()) / kind.view.num_accelerators for kind in set(group.kind))
    return inside, a_rank * frac


_NCCL_NAMES = "auto is what NCCL picks; its names are ring, tree, nvls, nvlstree, collnetdirect, collnetchain, pat"


def form_times_s(
    fabric: Fabric,
    groups: Sequence[Group],
    limits: NetworkLimits,
    collective: Collective,
    algorithm: str,
    sizes: _Floats,
    efficiency: Efficiency,
) -> _Floats:
    """Return the time of a named algorithm by its closed form, ``(G, S)``.

    A flat algorithm runs between ranks and takes the slower of the two ways for every step; ``hierarchical`` runs in
    the unit first and then between units.

    Raises
    ------
    InputError
        If there is no such form for the collective.
    """
    known = (*algorithms(collective), HIERARCHICAL)
    if algorithm not in known or (algorithm == HIERARCHICAL and (collective, "ring") not in FORMS):
        raise InputError(
            what=f"no such algorithm for {collective}",
            where="--algorithm",
            found=repr(algorithm),
            allowed=", ".join(("auto", *known)),
            fix="" if collective in ("all-to-all", "send-recv") else _NCCL_NAMES,
        )
    times = np.empty((len(groups), len(sizes)))
    for i, group in enumerate(groups):
        inside, between = _rates(group, limits, i, efficiency)
        inter = group.num_units > 1
        alpha_in = _message_latency_s(fabric, group, inter=False)
        if algorithm == HIERARCHICAL and inter:
            dims = [group.communicator.num_ranks // group.num_units, group.num_units]
            alphas = [alpha_in, _message_latency_s(fabric, group, inter=True) * efficiency.latency_factor]
            betas = [1.0 / inside if inside else 0.0, 1.0 / between]
            run = hierarchical_all_reduce if collective == "all-reduce" else hierarchical_one_pass
            times[i] = run(sizes, dims, alphas, betas, chunks=_HIERARCHICAL_CHUNKS)
            continue
        alpha = _message_latency_s(fabric, group, inter=inter) * (efficiency.latency_factor if inter else 1.0)
        rate = between if inter else inside
        name = "ring" if algorithm == HIERARCHICAL else algorithm
        times[i] = form_time_s(collective, name, sizes, group.communicator.num_ranks, alpha, 1.0 / rate)
    return times
