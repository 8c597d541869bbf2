"""Conversions between the units inside (bytes, seconds, bytes/s) and the units people read and write.

Inside: ``_bytes``, ``_s``, ``_bytes_per_s``, ``_flops_per_s``, ``_watts``, ``_usd``, ``_frac``. In YAML and in tables:
``_gbps`` (10⁹ bit/s, one direction), ``_gib`` (2³⁰ bytes), ``_us``, ``_kw``. No other module multiplies by 1e9 or 2³⁰.
"""

from __future__ import annotations

import re
from typing import overload

import numpy as np
import numpy.typing as npt

from topologies.errors import InputError

__all__ = [
    "BYTES_PER_GIB",
    "format_bytes",
    "format_duration",
    "from_gb_per_s",
    "from_gbps",
    "from_gib",
    "from_kw",
    "from_ns",
    "from_tflops",
    "from_us",
    "parse_bytes",
    "to_gb_per_s",
    "to_gbps",
    "to_gib",
    "to_kw",
    "to_us",
]

_Floats = npt.NDArray[np.float64]

BITS_PER_BYTE = 8
GIGA = 1e9
BYTES_PER_GIB = 2**30

_BYTE_SUFFIXES = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_BYTES_PATTERN = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$", re.ASCII)
_MAX_BYTES = 2**63 - 1


@overload
def from_gbps(rate_gbps: float) -> float: ...
@overload
def from_gbps(rate_gbps: _Floats) -> _Floats: ...
def from_gbps(rate_gbps: float | _Floats) -> float | _Floats:
    """Convert 10⁹ bit/s to bytes/s."""
    return rate_gbps * (GIGA / BITS_PER_BYTE)


@overload
def to_gbps(rate_bytes_per_s: float) -> float: ...
@overload
def to_gbps(rate_bytes_per_s: _Floats) -> _Floats: ...
def to_gbps(rate_bytes_per_s: float | _Floats) -> float | _Floats:
    """Convert bytes/s to 10⁹ bit/s."""
    return rate_bytes_per_s * (BITS_PER_BYTE / GIGA)


@overload
def from_gb_per_s(rate_gb_per_s: float) -> float: ...
@overload
def from_gb_per_s(rate_gb_per_s: _Floats) -> _Floats: ...
def from_gb_per_s(rate_gb_per_s: float | _Floats) -> float | _Floats:
    """Convert GB/s (10⁹ bytes/s, nccl-tests' unit) to bytes/s."""
    return rate_gb_per_s * GIGA


@overload
def to_gb_per_s(rate_bytes_per_s: float) -> float: ...
@overload
def to_gb_per_s(rate_bytes_per_s: _Floats) -> _Floats: ...
def to_gb_per_s(rate_bytes_per_s: float | _Floats) -> float | _Floats:
    """Convert bytes/s to GB/s (10⁹ bytes/s)."""
    return rate_bytes_per_s / GIGA


def from_gib(size_gib: float) -> int:
    """Convert GiB to whole bytes."""
    return round(size_gib * BYTES_PER_GIB)


def to_gib(size_bytes: float) -> float:
    """Convert bytes to GiB."""
    return size_bytes / BYTES_PER_GIB


def from_us(time_us: float) -> float:
    """Convert microseconds to seconds."""
    return time_us * 1e-6


def from_ns(time_ns: float) -> float:
    """Convert nanoseconds to seconds."""
    return time_ns * 1e-9


@overload
def to_us(time_s: float) -> float: ...
@overload
def to_us(time_s: _Floats) -> _Floats: ...
def to_us(time_s: float | _Floats) -> float | _Floats:
    """Convert seconds to microseconds."""
    return time_s * 1e6


def from_kw(power_kw: float) -> float:
    """Convert kilowatts to watts."""
    return power_kw * 1e3


def to_kw(power_watts: float) -> float:
    """Convert watts to kilowatts."""
    return power_watts / 1e3


def from_tflops(rate_tflops: float) -> float:
    """Convert 10¹² floating-point operations a second to operations a second."""
    return rate_tflops * 1e12


def parse_bytes(text: str, *, where: str = "size") -> int:
    """Read a size such as ``8GiB``, ``64 MB`` or ``4096``.

    Raises
    ------
    InputError
        If the text is no size, is not a whole number of bytes, is zero, or is above 2⁶³ − 1.
    """
    allowed = "whole bytes from 1 to 2^63-1, with KiB MiB GiB TiB (powers of 2) or KB MB GB TB (powers of 10)"
    match = _BYTES_PATTERN.match(text) if len(text) <= 64 else None
    scale = _BYTE_SUFFIXES.get(match.group(2).upper()) if match else None
    if match is None or scale is None:
        raise InputError(what="not a size", where=where, found=repr(text), allowed=allowed, fix="write it like 8GiB")
    whole, _, fraction = match.group(1).partition(".")
    numerator: int = int(whole + fraction) * scale
    divisor: int = 10 ** len(fraction)
    size_bytes, rest = divmod(numerator, divisor)
    if rest or not 0 < size_bytes <= _MAX_BYTES:
        raise InputError(what="size out of range", where=where, found=repr(text), allowed=allowed)
    return size_bytes


def format_bytes(size_bytes: float) -> str:
    """Write a size with the largest binary unit that keeps it above one, for people."""
    for suffix, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(size_bytes) >= scale:
            return f"{size_bytes / scale:.4g} {suffix}"
    return f"{size_bytes:.4g} B"


def format_duration(time_s: float) -> str:
    """Write a time for people: µs, ms, s, min or h."""
    for suffix, scale in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if abs(time_s) >= scale:
            return f"{time_s / scale:.3g} {suffix}"
    return f"{time_s * 1e6:.3g} µs"
