"""All-reduce over several dimensions (NVLink domain × rails × pods…), chunks pipelined as a flow shop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from planner.collectives.forms.steps import ring_one_pass

__all__ = ["hierarchical_all_reduce", "hierarchical_one_pass", "pipelined_all_reduce"]

_Floats = npt.NDArray[np.float64]
Pass = Callable[[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike, npt.ArrayLike], _Floats]


def _pass_times(
    size_bytes: npt.ArrayLike,
    ranks: npt.ArrayLike,
    alpha_s: npt.ArrayLike,
    beta_s: npt.ArrayLike,
    passes: Pass | Sequence[Pass],
) -> _Floats:
    """Time of one reduce-scatter pass on each dimension, shape (…, num_dims); dimension i sees S/Π_{j<i} p_j."""
    s = np.asarray(size_bytes, dtype=np.float64)[..., np.newaxis]
    p = np.asarray(ranks, dtype=np.float64)
    alpha = np.broadcast_to(np.asarray(alpha_s, dtype=np.float64), np.broadcast_shapes(np.shape(alpha_s), p.shape))
    beta = np.broadcast_to(np.asarray(beta_s, dtype=np.float64), np.broadcast_shapes(np.shape(beta_s), p.shape))
    before = np.concatenate([np.ones((*p.shape[:-1], 1)), np.cumprod(p, axis=-1)[..., :-1]], axis=-1)
    part = s / before
    if not isinstance(passes, Sequence):
        return passes(part, p, alpha, beta)
    columns = [one(part[..., i], p[..., i], alpha[..., i], beta[..., i]) for i, one in enumerate(passes)]
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def pipelined_all_reduce(pass_s: npt.ArrayLike, chunks: npt.ArrayLike) -> _Floats:
    """Time of c chunks through reduce-scatters up the dimensions and all-gathers down them.

    A two-way flow shop in which a dimension serves one chunk at a time, in either direction:
    T = max_i (2c·t_i + 2 Σ_{j<i} t_j). With one chunk it is the plain sum 2 Σ t_i (the last term of the maximum).

    Parameters
    ----------
    pass_s
        t, one chunk's reduce-scatter pass on each dimension, shape (…, num_dims).
    chunks
        c, any shape that broadcasts with the leading dimensions.

    Returns
    -------
    numpy.ndarray
        Seconds, shape (…,).
    """
    t = np.asarray(pass_s, dtype=np.float64)
    c = np.asarray(chunks, dtype=np.float64)[..., np.newaxis]
    before = np.cumsum(t, axis=-1) - t
    time: _Floats = np.max(2 * c * t + 2 * before, axis=-1)
    return time


def hierarchical_all_reduce(
    size_bytes: npt.ArrayLike,
    ranks: npt.ArrayLike,
    alpha_s: npt.ArrayLike,
    beta_s: npt.ArrayLike,
    *,
    chunks: npt.ArrayLike = 1,
    passes: Pass | Sequence[Pass] = ring_one_pass,
) -> _Floats:
    """All-reduce over dimensions: Σ_i 2(p_i−1)α_i + 2(p_i−1)/p_i·S/Π_{j<i}p_j·β_i for one chunk (BlueConnect).

    Parameters
    ----------
    size_bytes
        S, shape (…,).
    ranks, alpha_s, beta_s
        One entry a dimension, innermost first: shape (…, num_dims).
    chunks
        Chunks in flight; see `pipelined_all_reduce`.
    passes
        The reduce-scatter (= all-gather) form of every dimension, or one for each.

    Returns
    -------
    numpy.ndarray
        Seconds, shape (…,).

    Notes
    -----
    Source: Cho et al. 2019, "BlueConnect"; the pipeline is the flow shop of `pipelined_all_reduce`.
    """
    c = np.asarray(chunks, dtype=np.float64)
    part = np.asarray(size_bytes, dtype=np.float64) / c
    return pipelined_all_reduce(_pass_times(part, ranks, alpha_s, beta_s, passes), c)


def hierarchical_one_pass(
    size_bytes: npt.ArrayLike,
    ranks: npt.ArrayLike,
    alpha_s: npt.ArrayLike,
    beta_s: npt.ArrayLike,
    *,
    chunks: npt.ArrayLike = 1,
    passes: Pass | Sequence[Pass] = ring_one_pass,
) -> _Floats:
    """All-gather or reduce-scatter over dimensions: c chunks through one flow shop, Σ t + (c − 1)·max t.

    Arguments as `hierarchical_all_reduce`; S is the whole gathered or scattered buffer.
    """
    c = np.asarray(chunks, dtype=np.float64)
    t = _pass_times(np.asarray(size_bytes, dtype=np.float64) / c, ranks, alpha_s, beta_s, passes)
    time: _Floats = np.sum(t, axis=-1) + (c - 1) * np.max(t, axis=-1)
    return time
