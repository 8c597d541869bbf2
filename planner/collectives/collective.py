"""`collective_times`: what collectives of any size take on a fabric, as NCCL would run them or by a named algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.collectives.definitions import Collective, busbw_factor, check_collective
from planner.collectives.efficiency import Efficiency, default_efficiency, size_correction, time_band_s
from planner.collectives.flat_forms import form_times_s
from planner.collectives.nccl.communicators import stack
from planner.collectives.nccl.constants import ALGORITHM_NAMES, PROTOCOL_NAMES, Algorithm, Protocol
from planner.collectives.nccl.from_fabric import Group, find_groups
from planner.collectives.nccl.selection import pick
from planner.collectives.nccl.timing import actual_times_s
from planner.collectives.nccl.tuning import SUPPORTED, tune
from planner.collectives.network_limits import NetworkLimits, network_limits
from planner.collectives.point_to_point import exchange_times_s, send_recv_times_s
from planner.collectives.sizes import check_sizes
from topologies.errors import InputError
from topologies.fabric import Fabric, Int64s
from topologies.html_table import html_table
from topologies.routing.network import Routing

__all__ = ["AUTO", "CollectiveTable", "collective_time", "collective_times"]

_Floats = npt.NDArray[np.float64]
_Names = npt.NDArray[np.str_]

AUTO = "auto"
_DIRECT = "direct"


@dataclass(frozen=True, eq=False)
class CollectiveTable:
    """Times of one collective for ``G`` groups and ``S`` sizes; arrays are read-only.

    Attributes
    ----------
    collective
        Which.
    size_bytes
        ``(S,)``, as nccl-tests prints them.
    num_ranks
        ``(G,)``.
    time_s
        ``(G, S)``.
    algorithm, protocol
        ``(G, S)`` names; the protocol is empty where there is none.
    channels
        ``(G, S)``; 0 where there are none.
    bottleneck_link
        ``(G,)`` directed link that is first full; −1 if no link is used.
    efficiency
        What links were taken to give, with its source.
    assumptions
        What was assumed of the fabric.
    """

    collective: Collective
    size_bytes: _Floats
    num_ranks: Int64s
    time_s: _Floats
    algorithm: _Names
    protocol: _Names
    channels: Int64s
    bottleneck_link: Int64s
    efficiency: Efficiency
    assumptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for array in (self.size_bytes, self.num_ranks, self.time_s, self.channels, self.bottleneck_link):
            array.setflags(write=False)

    @property
    def algbw_bytes_per_s(self) -> _Floats:
        """Size ÷ time, ``(G, S)``."""
        return self.size_bytes / self.time_s

    def _repr_html_(self) -> str:
        """Return what a notebook shows: busbw by size, a column a group."""
        busbw = self.busbw_bytes_per_s / 1e9
        rows = [[int(size), *(float(b) for b in busbw[:, s])] for s, size in enumerate(self.size_bytes)]
        return html_table(f"{self.collective}: busbw, GB/s", rows, ["bytes", *(f"{n:,} ranks" for n in self.num_ranks)])

    @property
    def busbw_bytes_per_s(self) -> _Floats:
        """Bus bandwidth as nccl-tests defines it, ``(G, S)``."""
        return self.algbw_bytes_per_s * busbw_factor(self.collective, self.num_ranks)[:, np.newaxis]

    @property
    def time_band_s(self) -> tuple[_Floats, _Floats]:
        """Shortest and longest time of the stated band, ``(G, S)`` each."""
        return time_band_s(self.efficiency, self.size_bytes, self.time_s)


def _nccl_algorithm(name: str) -> Algorithm | None:
    plain = name.lower().replace("-", "").replace("_", "")
    return next((a for a in Algorithm if ALGORITHM_NAMES[a].lower() == plain), None)


def _nccl_protocol(name: str | None) -> Protocol | None:
    if name is None:
        return None
    for protocol in Protocol:
        if PROTOCOL_NAMES[protocol].lower() == name.lower():
            return protocol
    raise InputError(what="no such protocol", where="--protocol", found=repr(name), allowed=", ".join(PROTOCOL_NAMES))


def _by_nccl(
    groups: Sequence[Group],
    collective: Collective,
    sizes: _Floats,
    limits: NetworkLimits,
    efficiency: Efficiency,
    algorithm: Algorithm | None,
    protocol: Protocol | None,
) -> tuple[_Floats, _Names, _Names, Int64s]:
    comms = stack([group.communicator for group in groups])
    table = tune(comms, collective)
    picks = pick(comms, table, sizes, algorithm=algorithm, protocol=protocol)
    if not np.isfinite(picks.time_s).all():
        usable = table.algbw_bytes_per_s.max(axis=-1) > 0
        usable_names = [ALGORITHM_NAMES[a] for a in np.flatnonzero(usable.all(axis=0))]
        asked = [ALGORITHM_NAMES[algorithm]] if algorithm is not None else []
        asked += [PROTOCOL_NAMES[protocol]] if protocol is not None else []
        raise InputError(
            what="NCCL would not use this algorithm or protocol here",
            where="--algorithm",
            found=" ".join(asked),
            allowed=", ".join(["auto", *usable_names]),
        )
    times = actual_times_s(groups, table, picks, sizes, efficiency, fabric_frac=limits.through_frac)
    names: _Names = np.array(ALGORITHM_NAMES)[picks.algorithm]
    protocols: _Names = np.array(PROTOCOL_NAMES)[picks.protocol]
    return times, names, protocols, picks.channels


def collective_times(
    fabric: Fabric,
    groups: Sequence[npt.ArrayLike],
    collective: str,
    size_bytes: npt.ArrayLike,
    *,
    algorithm: str = AUTO,
    protocol: str | None = None,
    collnet: bool = False,
    efficiency: Efficiency | None = None,
    routing: Routing | None = None,
) -> CollectiveTable:
    """Return what a collective takes on groups of accelerators, each alone on the fabric.

    Parameters
    ----------
    fabric
        Where.
    groups
        For each group its accelerators in rank order.
    collective
        ``all-reduce``, ``all-gather``, ``reduce-scatter``, ``all-to-all``, ``broadcast``, ``reduce`` or ``send-recv``.
    size_bytes
        ``(S,)`` sizes as nccl-tests prints them.
    algorithm
        ``auto`` (what NCCL picks), a name of NCCL's (``ring``, ``tree``, ``nvls``, ``nvlstree``, ``collnetdirect``,
        ``collnetchain``, ``pat``), or that of a closed form (``recursive-doubling``, ``halving-doubling``, ``bruck``,
        ``hierarchical``…).
    protocol
        ``LL``, ``LL128`` or ``Simple`` to force one.
    collnet
        Whether the network reduces (SHARP).
    efficiency
        What links give; the fabric's uncalibrated default if ``None``.
    routing
        How flows choose among shortest ways; spraying if ``None``.

    Raises
    ------
    InputError
        If the collective, a size, a group or the algorithm is none.
    """
    op = check_collective(collective)
    sizes = check_sizes(size_bytes)
    found = find_groups(fabric, groups, collnet=collnet)
    used = efficiency or default_efficiency(fabric)
    limits = network_limits(fabric, groups, op, routing=routing)
    shape = (len(found), len(sizes))
    native, forced = _nccl_algorithm(algorithm), _nccl_protocol(protocol)
    channels = np.zeros(shape, np.int64)
    protocols: _Names = np.full(shape, "", dtype="U8")
    if op in SUPPORTED and (algorithm == AUTO or native is not None):
        times, names, protocols, channels = _by_nccl(found, op, sizes, limits, used, native, forced)
    elif forced is not None:
        raise InputError(
            what="only NCCL's own algorithms have protocols",
            where="--protocol",
            found=f"{protocol} for {op}, {algorithm}",
            fix="leave the protocol out",
        )
    elif op in ("all-to-all", "send-recv") and algorithm in (AUTO, _DIRECT):
        run = exchange_times_s if op == "all-to-all" else send_recv_times_s
        times, names = run(found, limits, sizes, used), np.full(shape, _DIRECT)
    else:
        times, names = form_times_s(fabric, found, limits, op, algorithm, sizes, used), np.full(shape, algorithm)
    if used.corrections and algorithm == AUTO:
        times = times * np.stack([size_correction(used, op, group.num_units, sizes) for group in found])
    return CollectiveTable(
        collective=op,
        size_bytes=sizes,
        num_ranks=np.array([group.communicator.num_ranks for group in found], np.int64),
        time_s=times,
        algorithm=names,
        protocol=protocols,
        channels=channels,
        bottleneck_link=limits.bottleneck_link,
        efficiency=used,
        assumptions=_assumptions(found),
    )


def _assumptions(groups: Sequence[Group]) -> tuple[str, ...]:
    kinds = {kind for group in groups for kind in group.kind}
    if any(kind.view.is_assumed for kind in kinds):
        return (
            "An accelerator's part states no compute_capability or host_cpu: its generation was taken from its "
            "scale-up rate, and an Intel host was assumed.",
        )
    return ()


def collective_time(
    fabric: Fabric, group: npt.ArrayLike, collective: str, size_bytes: npt.ArrayLike, **options: Any
) -> CollectiveTable:
    """Return what a collective takes on one group; `options` are those of `collective_times`.

    Raises
    ------
    InputError
        As `collective_times`.
    """
    return collective_times(fabric, [group], collective, size_bytes, **options)
