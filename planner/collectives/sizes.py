"""Sizes of collectives: checked once, for every entrance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError
from topologies.units import parse_bytes

__all__ = ["MAX_BYTES", "check_sizes", "parse_sizes", "size_ladder"]

MAX_BYTES = 2**63 - 1
_MAX_SIZES = 10_000


def check_sizes(size_bytes: npt.ArrayLike, *, where: str = "sizes") -> npt.NDArray[np.float64]:
    """Return sizes as an array of shape ``(S,)``.

    Raises
    ------
    InputError
        If there are none, or one is no whole number from 1 to 2⁶³ − 1.
    """
    allowed = "whole bytes from 1 to 2^63-1"
    try:
        values = list(np.ravel(np.asarray(size_bytes, object)))
        sizes = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(what="not sizes", where=where, found=repr(size_bytes), allowed=allowed) from None
    if not len(sizes):
        raise InputError(what="no sizes", where=where, allowed=allowed)
    bad = [value for value, size in zip(values, sizes, strict=True) if not _is_size(value, size)]
    if bad:
        raise InputError(what="size out of range", where=where, found=bad[0], allowed=allowed)
    return sizes


def _is_size(value: object, size: float) -> bool:
    if isinstance(value, (bool, np.bool_, str, bytes)) or not np.isfinite(size):
        return False
    whole = isinstance(value, int) or float(size) == int(size)
    return whole and 0 < (value if isinstance(value, int) else size) <= MAX_BYTES


def size_ladder(first_bytes: int, last_bytes: int, *, factor: int = 2) -> list[int]:
    """Return sizes from first to last, each `factor` times the one before, as nccl-tests' ``-b -e -f``.

    Raises
    ------
    InputError
        If an end is no size, the last is below the first, or the factor is below 2.
    """
    check_sizes([first_bytes, last_bytes])
    if last_bytes < first_bytes or factor < 2:
        raise InputError(
            what="sizes must rise",
            where="--sizes",
            found=f"{first_bytes} to {last_bytes}, times {factor}",
            allowed="first ≤ last, a factor of 2 or more",
        )
    sizes = [first_bytes]
    while sizes[-1] * factor <= last_bytes:
        sizes.append(sizes[-1] * factor)
    return sizes


def parse_sizes(text: str, *, where: str = "--sizes") -> list[int]:
    """Read ``1KiB:8GiB`` (doubling from the first to the last) or a list such as ``1MiB,64MiB``.

    Raises
    ------
    InputError
        If a size cannot be read, the range runs backwards, or there are too many.
    """
    if ":" in text:
        first, _, last = text.partition(":")
        low, high = parse_bytes(first, where=where), parse_bytes(last, where=where)
        if low > high:
            raise InputError(what="the range runs backwards", where=where, found=repr(text), allowed="FROM:TO")
        return size_ladder(low, high)
    sizes = [parse_bytes(piece, where=where) for piece in text.split(",")]
    if len(sizes) > _MAX_SIZES:
        raise InputError(what="too many sizes", where=where, found=len(sizes), allowed=f"at most {_MAX_SIZES}")
    return sizes
