"""The pipelined double binary tree and reduction inside switches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["double_binary_tree_all_reduce", "double_binary_tree_broadcast", "in_switch_all_reduce"]

_Floats = npt.NDArray[np.float64]


def _tree_height(ranks: _Floats) -> _Floats:
    """Levels below the root of a balanced binary tree over p ranks: ⌊lg p⌋."""
    return np.frexp(ranks)[1].astype(np.float64) - 1.0


def double_binary_tree_broadcast(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Broadcast (or reduce) over two trees, pipelined with the best chunk: Sβ + 2hα + 2√(2h·S·αβ).

    Each tree carries half the data in k chunks; a rank is inner in at most one tree, so two steps move one chunk in
    both: T(k) = (2h + 2k)(α + Sβ/2k), least at k = √(h·Sβ/2α), h = ⌊lg p⌋. k is kept at 1 or above.

    Source: Sanders, Speck, Träff 2009, "Two-tree algorithms for full bandwidth broadcast, reduction and scan".
    """
    s, p, alpha, beta = (np.asarray(v, dtype=np.float64) for v in (size_bytes, ranks, alpha_s, beta_s))
    height = _tree_height(p)
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.sqrt(height * s * beta / (2 * alpha))
    # With α = 0 chunks may be as small as a byte.
    chunks = np.clip(np.nan_to_num(best, nan=1.0, posinf=np.inf), 1.0, np.maximum(s / 2, 1.0))
    time = (2 * height + 2 * chunks) * (alpha + s * beta / (2 * chunks))
    return np.where(p > 1, time, 0.0)


def double_binary_tree_all_reduce(
    size_bytes: npt.ArrayLike, ranks: npt.ArrayLike, alpha_s: npt.ArrayLike, beta_s: npt.ArrayLike
) -> _Floats:
    """Reduce up and broadcast down the two trees: 2Sβ + 4hα + 4√(2h·S·αβ), twice `double_binary_tree_broadcast`.

    Source: Sanders, Speck, Träff 2009.
    """
    return 2 * double_binary_tree_broadcast(size_bytes, ranks, alpha_s, beta_s)


def in_switch_all_reduce(
    size_bytes: npt.ArrayLike,
    ranks: npt.ArrayLike,
    alpha_s: npt.ArrayLike,
    beta_s: npt.ArrayLike,
    levels: npt.ArrayLike = 1,
) -> _Floats:
    """All-reduce inside the switches (SHARP, NVLS): 2hα + Sβ, h levels of switches.

    Every rank sends its vector up once and receives the result once, both directions of a link at the same time.

    Source: Graham et al. 2016, "Scalable Hierarchical Aggregation Protocol (SHArP)".
    """
    s, p, alpha, beta, h = (np.asarray(v, dtype=np.float64) for v in (size_bytes, ranks, alpha_s, beta_s, levels))
    return np.where(p > 1, 2 * h * alpha + s * beta, 0.0)
