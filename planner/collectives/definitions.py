"""The collectives' names, and algbw and busbw exactly as nccl-tests defines them.

``size_bytes`` of a collective is the figure nccl-tests prints in its first column: the buffer of one rank for all-
reduce, broadcast and send-recv; the whole gathered, scattered or exchanged buffer (p blocks) for all-gather,
reduce-scatter and all-to-all. Source: nccl-tests, ``doc/PERFORMANCE.md`` and the ``getBw`` function of each test.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError

__all__ = ["COLLECTIVES", "Collective", "algbw_bytes_per_s", "busbw_bytes_per_s", "busbw_factor", "check_collective"]

Collective = Literal["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "broadcast", "reduce", "send-recv"]
COLLECTIVES: tuple[Collective, ...] = get_args(Collective)

# busbw = algbw × (numerator·(p − offset)/p, or 1): nccl-tests doc/PERFORMANCE.md.
_RING_PASSES = MappingProxyType({"all-reduce": 2.0, "all-gather": 1.0, "reduce-scatter": 1.0, "all-to-all": 1.0})

_Floats = npt.NDArray[np.float64]


def check_collective(name: str, *, where: str = "--op") -> Collective:
    """Return `name` as a collective; ``_`` and a trailing ``_perf`` as nccl-tests writes them are understood.

    Raises
    ------
    InputError
        If there is no such collective.
    """
    plain = name.strip().lower().removesuffix("_perf").replace("_", "-")
    plain = {
        "alltoall": "all-to-all",
        "sendrecv": "send-recv",
        "allreduce": "all-reduce",
        "allgather": "all-gather",
    }.get(plain, {"reducescatter": "reduce-scatter"}.get(plain, plain))
    for collective in COLLECTIVES:
        if plain == collective:
            return collective
    raise InputError(what="no such collective", where=where, found=repr(name), allowed=", ".join(COLLECTIVES))


def busbw_factor(collective: Collective, ranks: npt.ArrayLike) -> _Floats:
    """Return busbw ÷ algbw.

    Parameters
    ----------
    collective
        Which.
    ranks
        Number of ranks, any shape.

    Returns
    -------
    numpy.ndarray
        2(p−1)/p for all-reduce; (p−1)/p for all-gather, reduce-scatter and all-to-all; 1 for the others.
    """
    p = np.asarray(ranks, dtype=np.float64)
    passes = _RING_PASSES.get(collective)
    return np.ones_like(p) if passes is None else passes * (p - 1) / p


def algbw_bytes_per_s(size_bytes: npt.ArrayLike, time_s: npt.ArrayLike) -> _Floats:
    """Return size ÷ time."""
    return np.asarray(size_bytes, dtype=np.float64) / np.asarray(time_s, dtype=np.float64)


def busbw_bytes_per_s(
    collective: Collective, size_bytes: npt.ArrayLike, time_s: npt.ArrayLike, ranks: npt.ArrayLike
) -> _Floats:
    """Return algbw × `busbw_factor`."""
    return algbw_bytes_per_s(size_bytes, time_s) * busbw_factor(collective, ranks)
