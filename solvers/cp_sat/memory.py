"""Foresees from a model's size whether it fits into memory, so that it is said before instead of found out."""

from __future__ import annotations

import resource
from pathlib import Path

from topologies.errors import ScaleplanError

__all__ = ["TooLargeError", "available_bytes", "needed_bytes", "require_room"]

# Peak resident memory of building and solving on two workers, over (host classes × requests), OR-Tools 9.15: measured
# as 8,000 to 10,000 bytes with 3,400 and 14,200 of them, and some 15 MB whatever the size.
_BYTES_A_COUNT = 10_000
_BYTES_AT_LEAST = 20_000_000
_GIGA = 1e9


class TooLargeError(ScaleplanError):
    """A model would not fit into memory."""


def needed_bytes(num_counts: int) -> int:
    """Return about how much memory a model of so many counts takes at its peak."""
    return _BYTES_AT_LEAST + _BYTES_A_COUNT * num_counts


def available_bytes() -> float:
    """Return what this process may still take: of the machine, of its control group, of its own limit."""
    found = [float("inf")]
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(float(line.split()[1]) * 1024)
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.is_file() and used.is_file():
        most = limit.read_text(encoding="ascii").strip()
        if most.isdigit():
            found.append(float(most) - float(used.read_text(encoding="ascii")))
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    statm = Path("/proc/self/statm")
    if own != resource.RLIM_INFINITY and statm.is_file():
        pages = int(statm.read_text(encoding="ascii").split()[0])
        found.append(float(own) - pages * resource.getpagesize())
    return max(0.0, min(found))


def require_room(num_counts: int) -> None:
    """Refuse a model that would not fit.

    Raises
    ------
    TooLargeError
        With what it would take and what there is.
    """
    needed, there = needed_bytes(num_counts), available_bytes()
    if needed > there:
        raise TooLargeError(
            what="the model would not fit into memory",
            where="cp-sat",
            found=f"about {needed / _GIGA:.1f} GB for {num_counts:,} counts of jobs by alike hosts",
            allowed=f"the {there / _GIGA:.1f} GB that are there",
            fix="place fewer jobs at a time, or take a solver without a model, such as best-fit",
        )
