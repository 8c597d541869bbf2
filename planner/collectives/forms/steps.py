"""Step-synchronous algorithms: closed α-β forms, one function an algorithm, broadcast over all arguments.

α seconds a step, β seconds a byte; the local reduction is left out. All arguments may be arrays of any shapes that
broadcast. ``size_bytes`` is nccl-tests' (see `planner.collectives.definitions`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "binomial_broadcast",
    "bruck_all_gather",
    "bruck_all_to_all",
    "chain_broadcast",
    "direct_all_reduce",
    "direct_one_pass",
    "halving_doubling_all_reduce",
    "halving_doubling_one_pass",
    "pairwise_all_to_all",
    "point_to_point",
    "recursive_doubling_all_reduce",
    "ring_all_reduce",
    "ring_all_to_all",
    "ring_one_pass",
    "scatter_all_gather_broadcast",
    "segmented_ring_all_reduce",
]

_Floats = npt.NDArray[np.float64]


def _floats(*values: npt.ArrayLike) -> tuple[_Floats, ...]:
    return tuple(np.asarray(value, dtype=np.float64) for value in values)


def _floor_log2(ranks: _Floats) -> _Floats:
    """⌊lg p⌋, exact for whole numbers below 2⁵³ (frexp gives the exponent itself, not a rounded logarithm)."""
    return np.frexp(ranks)[1].astype(np.float64) - 1.0


def _ceil_log2(ranks: _Floats) -> _Floats:
    floor = _floor_log2(ranks)
    return floor + (np.exp2(floor) < ranks)


def ring_one_pass(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Ring all-gather or reduce-scatter: (p−1)α + (p−1)/p·Sβ (Thakur et al. 2005; Patarasuk & Yuan 2009)."""
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    return (p - 1) * (alpha + s / p * beta)


def ring_all_reduce(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Ring all-reduce: 2(p−1)α + 2(p−1)/p·Sβ (Patarasuk & Yuan 2009)."""
    return 2 * ring_one_pass(size_bytes, ranks, alpha_s, beta_s)


def segmented_ring_all_reduce(
    size_bytes: npt.ArrayLike,
    ranks: npt.ArrayLike,
    alpha_s: npt.ArrayLike,
    beta_s: npt.ArrayLike,
    segment_bytes: npt.ArrayLike = 2**20,
) -> _Floats:
    """Open MPI's segmented ring: the reduce-scatter pass sends each block in several messages, each paying α.

    S/p·segment rounded to the nearest whole number (halves down), at least one: k messages a block, so
    (p−1)(k+1)α + 2(p−1)/p·Sβ. Source: Open MPI ``coll_base_allreduce.c``, ``allreduce_intra_ring_segmented``, whose
    segment is 1 MiB; checked against SimGrid SMPI for 4 to 16 ranks.
    """
    s, p, alpha, beta, segment = _floats(size_bytes, ranks, alpha_s, beta_s, segment_bytes)
    messages = np.maximum(1.0, np.ceil(s / (p * segment) - 0.5))
    time: _Floats = (p - 1) * (messages + 1) * alpha + 2 * (p - 1) / p * s * beta
    return time


def direct_one_pass(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """All-gather, reduce-scatter or all-to-all over a link to every peer at once: α + S/p·β.

    β is that of one link; every rank has p − 1 of them.
    """
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    return np.where(p > 1, alpha + s / p * beta, 0.0)


def direct_all_reduce(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """All-reduce over a link to every peer at once: reduce-scatter then all-gather, 2(α + S/p·β)."""
    return 2 * direct_one_pass(size_bytes, ranks, alpha_s, beta_s)


def recursive_doubling_all_reduce(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Recursive doubling: lg p·(α + Sβ) (Thakur et al. 2005).

    Where p is no power of two, the ranks above 2^⌊lg p⌋ hand their vector to a neighbour first and get the result
    last: two more steps of α + Sβ.
    """
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    floor = _floor_log2(p)
    return (floor + 2 * (np.exp2(floor) < p)) * (alpha + s * beta)


def halving_doubling_one_pass(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Recursive halving reduce-scatter or recursive doubling all-gather: lg p·α + (p−1)/p·Sβ (Thakur et al. 2005).

    Where p is no power of two, a step of α + Sβ folds the ranks above 2^⌊lg p⌋ in and one of α + S/p·β gives them
    their block (for an all-gather, the other way round).
    """
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    floor = _floor_log2(p)
    power = np.exp2(floor)
    folded = (power < p) * (2 * alpha + (1 + 1 / p) * s * beta)
    return floor * alpha + (power - 1) / power * s * beta + folded


def halving_doubling_all_reduce(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Halving-doubling all-reduce: 2 lg p·α + 2(p−1)/p·Sβ (Rabenseifner 2004).

    Where p is no power of two, pairs first swap halves of their vectors (α + S/2·β) and bring the two halves together
    on one of them (α + S/2·β), which hands the result back at the end (α + Sβ).
    """
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    floor = _floor_log2(p)
    power = np.exp2(floor)
    return 2 * (floor * alpha + (power - 1) / power * s * beta) + (power < p) * (3 * alpha + 2 * s * beta)


def pairwise_all_to_all(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Pairwise exchange: (p−1)α + (p−1)/p·Sβ (Thakur et al. 2005)."""
    return ring_one_pass(size_bytes, ranks, alpha_s, beta_s)


def ring_all_to_all(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """All-to-all handed on around a one-way ring: p(p−1)/2 steps of α + S/p·β.

    The block for the rank d places on is sent d times, so a rank sends 1 + 2 + … + (p−1) blocks.
    """
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    return p * (p - 1) / 2 * (alpha + s / p * beta)


def bruck_all_to_all(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Bruck's all-to-all: ⌈lg p⌉·α + (blocks sent)·S/p·β; (S/2) lg p·β for powers of two (Bruck et al. 1997).

    In step k a rank sends the blocks whose index has bit k set; over all steps that is the number of one bits in
    0 … p−1.
    """
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    steps = _ceil_log2(p)
    ones = np.zeros_like(p)
    for bit in range(int(steps.max(initial=0.0))):
        half = 2.0**bit
        whole, rest = np.divmod(p, 2 * half)
        ones = ones + whole * half + np.maximum(0.0, rest - half)
    return steps * alpha + ones / p * s * beta


def bruck_all_gather(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Bruck's all-gather: ⌈lg p⌉·α + (p−1)/p·Sβ, any p (Bruck et al. 1997; Thakur et al. 2005)."""
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    return _ceil_log2(p) * alpha + (p - 1) / p * s * beta


def binomial_broadcast(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Broadcast or reduce over a binomial tree: ⌈lg p⌉·(α + Sβ) (Thakur et al. 2005)."""
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    return _ceil_log2(p) * (alpha + s * beta)


def scatter_all_gather_broadcast(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Broadcast as binomial scatter and ring all-gather: (⌈lg p⌉ + p − 1)α + 2(p−1)/p·Sβ.

    Source: Thakur et al. 2005 (van de Geijn's algorithm).
    """
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    return (_ceil_log2(p) + p - 1) * alpha + 2 * (p - 1) / p * s * beta


def chain_broadcast(
    size_bytes: npt.ArrayLike,
    ranks: npt.ArrayLike,
    alpha_s: npt.ArrayLike,
    beta_s: npt.ArrayLike,
    chunk_bytes: npt.ArrayLike | None = None,
) -> _Floats:
    """Broadcast or reduce down a pipelined chain: (p − 2 + c)·(α + S/c·β), c chunks.

    Without `chunk_bytes` the best c = √((p−2)·Sβ/α), at least 1: the chain NCCL's ring broadcast is.
    """
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    if chunk_bytes is None:
        with np.errstate(divide="ignore", invalid="ignore"):
            best = np.sqrt(np.maximum(p - 2, 0.0) * s * beta / alpha)
        chunks = np.clip(np.nan_to_num(best, nan=1.0, posinf=np.inf), 1.0, np.maximum(s, 1.0))
    else:
        chunks = np.maximum(1.0, np.ceil(s / np.asarray(chunk_bytes, dtype=np.float64)))
    return np.where(p > 1, (p - 2 + chunks) * (alpha + s / chunks * beta), 0.0)


def point_to_point(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """One message to the next rank: α + Sβ."""
    s, p, alpha, beta = _floats(size_bytes, ranks, alpha_s, beta_s)
    return np.where(p > 1, alpha + s * beta, 0.0)
