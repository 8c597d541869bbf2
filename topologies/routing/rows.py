"""Compressed rows: a variable number of entries a row, kept in one array with the place where each row starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["count_at", "frozen", "running_total", "sizes", "spans", "sum_at"]

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]


def running_total(count: npt.NDArray[Any]) -> Int64s:
    """Sum the first 0, 1, 2, … counts, shape ``(count.size + 1,)``: where each of the rows starts."""
    start = np.zeros(count.size + 1, dtype=np.int64)
    np.cumsum(count, out=start[1:])
    return start


def sizes(start: Int64s) -> Int64s:
    """Return the number of entries of each row, shape ``(start.size - 1,)``; `np.diff` takes ten times as long."""
    size: Int64s = start[1:] - start[:-1]
    return size


def spans(begin: npt.NDArray[Any], size: npt.NDArray[Any]) -> Int64s:
    """Spell out the ranges ``begin[i] … begin[i] + size[i] − 1`` one after the other, shape ``(size.sum(),)``."""
    start = running_total(size)
    return np.repeat(begin - start[:-1], size) + np.arange(start[-1])


def sum_at(index: npt.NDArray[Any], amount: Float64s, size: int) -> Float64s:
    """Add up `amount` by `index`, shape ``(size,)``."""
    return np.bincount(index, weights=amount, minlength=size).astype(np.float64, copy=False)


def count_at(index: npt.NDArray[Any], size: int) -> Int64s:
    """Count how often each index stands, shape ``(size,)``."""
    return np.bincount(index, minlength=size).astype(np.int64, copy=False)


def frozen(array: npt.NDArray[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return a read-only array: the same one if nobody can write it, else a copy."""
    if array.dtype == dtype and not array.flags.writeable and not _base_writeable(array):
        return array
    copy = np.array(array, dtype=dtype)
    copy.flags.writeable = False
    return copy


def _base_writeable(array: npt.NDArray[Any]) -> bool:
    """Whether the memory behind a view can be written through its owner."""
    base = array.base
    return base is not None and (not isinstance(base, np.ndarray) or bool(base.flags.writeable))
