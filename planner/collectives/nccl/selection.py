"""What NCCL picks for a size: the algorithm and protocol of least predicted time, and how many channels it uses.

Re-implemented from the description of NCCL 2.30's ``ncclTopoGetAlgoTime`` (tuning.cc) and ``enqueue.cc``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.collectives.nccl import constants as c
from planner.collectives.nccl.communicators import Communicators
from planner.collectives.nccl.constants import Algorithm, Architecture, Protocol
from planner.collectives.nccl.tuning import TuningTable

__all__ = ["Picks", "corrected", "pick", "predicted_times_s"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]

# tuning.cc: the ring's latency grows once a channel and rank handles this many bytes.
_PLATEAU_BYTES = 64
_PLATEAU_FACTOR = 1.4
_PLATEAU_FACTOR_VOLTA = 1.9
# The tree's size correction stops one column before the NVLS tree's.
_TREE_CORRECTION_COLUMNS = 23
_NVLS_TREE_CORRECTION_COLUMNS = 24

# device.h: threads of a channel by Protocol; enqueue.cc: bytes a thread must have before another channel is worth it.
_THREADS = np.array([512, 640, 512])
_THREAD_THRESHOLD_BYTES = np.array([8, 8, 64])
# nvls.cc: channels of the in-switch kernels by Architecture.
_NVLS_CHANNELS = np.array([0, 0, 16, 32])


@dataclass(frozen=True, slots=True)
class Picks:
    """NCCL's choice for each communicator and size, all of shape ``(G, S)``.

    Attributes
    ----------
    algorithm, protocol
        Numbers of `Algorithm` and `Protocol`.
    channels
        Channels in use at that size.
    time_s
        Predicted time; infinite where nothing can be used.
    """

    algorithm: _Ints
    protocol: _Ints
    channels: _Ints
    time_s: _Floats


def corrected(comms: Communicators, table: TuningTable, size_bytes: npt.ArrayLike) -> tuple[_Floats, _Floats]:
    """Return latency and bandwidth with NCCL's corrections for size.

    Parameters
    ----------
    comms, table
        As given to and returned by `planner.collectives.nccl.tuning.tune`.
    size_bytes
        ``(S,)``, as nccl-tests prints them.

    Returns
    -------
    tuple of numpy.ndarray
        Seconds and bytes/s, each of shape ``(G, S, num algorithms, num protocols)``.
    """
    sizes = np.atleast_1d(np.asarray(size_bytes, dtype=np.float64))
    shape = (len(comms), len(sizes), len(Algorithm), len(Protocol))
    bandwidth = np.broadcast_to(table.algbw_bytes_per_s[:, np.newaxis], shape).copy()
    latency = np.broadcast_to(table.latency_s[:, np.newaxis], shape).copy()
    if table.collective == "all-reduce":
        column = np.frexp(np.floor(sizes / 64))[1] - 1
        correction = c.TREE_SIZE_CORRECTION_FRAC.T[np.clip(column, 0, _NVLS_TREE_CORRECTION_COLUMNS - 1)]
        for_tree = (column >= 0) & (column < _TREE_CORRECTION_COLUMNS)
        bandwidth[:, :, Algorithm.TREE] *= np.where(for_tree[:, np.newaxis], correction, 1.0)
        blackwell_x86 = (comms.architecture >= Architecture.BLACKWELL) & (comms.cpu != c.Cpu.ARM)
        for_nvls = (column >= 0) & (column < _NVLS_TREE_CORRECTION_COLUMNS) & blackwell_x86[:, np.newaxis]
        bandwidth[:, :, Algorithm.NVLS_TREE] *= np.where(for_nvls[..., np.newaxis], correction, 1.0)

        share = np.floor(sizes / np.maximum(comms.channels * comms.num_ranks, 1)[:, np.newaxis])
        factor = np.where(comms.architecture == Architecture.VOLTA, _PLATEAU_FACTOR_VOLTA, _PLATEAU_FACTOR)
        plateau = (share >= _PLATEAU_BYTES) & (comms.num_nodes > 1)[:, np.newaxis]
        latency[:, :, Algorithm.RING, Protocol.SIMPLE] *= np.where(plateau, factor[:, np.newaxis], 1.0)
    return latency, bandwidth


def predicted_times_s(comms: Communicators, table: TuningTable, size_bytes: npt.ArrayLike) -> _Floats:
    """Return the time NCCL predicts for every combination: latency + bytes ÷ bandwidth, as `corrected`.

    Returns
    -------
    numpy.ndarray
        Seconds, ``(G, S, num algorithms, num protocols)``; infinite where NCCL does not use the combination.
    """
    sizes = np.atleast_1d(np.asarray(size_bytes, dtype=np.float64))
    latency, bandwidth = corrected(comms, table, sizes)
    with np.errstate(divide="ignore"):
        times: _Floats = latency + sizes[:, np.newaxis, np.newaxis] / bandwidth
    return times


def _used_channels(comms: Communicators, algorithm: _Ints, protocol: _Ints, sizes: _Floats) -> _Ints:
    """Drop channels while each would have too little to do."""
    rank_factor = np.where((algorithm == Algorithm.RING) & (protocol == Protocol.LL), comms.num_ranks[:, np.newaxis], 1)
    work_bytes = _THREADS[protocol] * _THREAD_THRESHOLD_BYTES[protocol] * rank_factor
    in_switch = (algorithm == Algorithm.NVLS) | (algorithm == Algorithm.NVLS_TREE)
    most = np.where(
        in_switch,
        np.maximum(_NVLS_CHANNELS[comms.architecture], 1)[:, np.newaxis],
        comms.channels[:, np.newaxis],
    )
    used = np.clip(np.floor(sizes / work_bytes), 1, most)
    return np.where(in_switch, most, used).astype(np.int64)


def pick(
    comms: Communicators,
    table: TuningTable,
    size_bytes: npt.ArrayLike,
    *,
    algorithm: Algorithm | None = None,
    protocol: Protocol | None = None,
) -> Picks:
    """Return NCCL's choice for each communicator and size.

    Parameters
    ----------
    comms, table
        As for `predicted_times_s`.
    size_bytes
        ``(S,)``.
    algorithm, protocol
        Allow only these, as the NCCL_ALGO and NCCL_PROTO variables do.
    """
    sizes = np.atleast_1d(np.asarray(size_bytes, dtype=np.float64))
    times = predicted_times_s(comms, table, sizes)
    if algorithm is not None:
        times[:, :, [a for a in Algorithm if a != algorithm]] = np.inf
    if protocol is not None:
        times[..., [p for p in Protocol if p != protocol]] = np.inf
    flat = times.reshape(*times.shape[:2], -1)
    best = np.argmin(flat, axis=-1)
    chosen, used_protocol = np.divmod(best, len(Protocol))
    time_s = np.take_along_axis(flat, best[..., np.newaxis], axis=-1)[..., 0]
    return Picks(chosen, used_protocol, _used_channels(comms, chosen, used_protocol, sizes), time_s)
