"""Parts of an accelerator: shares by fraction, and MIG profiles with their slices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from topologies.errors import InputError

__all__ = ["MIG_COMPUTE_SLICES", "MIG_MEMORY_SLICES", "MigProfile", "mig_fits", "mig_profile", "mig_slices"]

# NVIDIA Multi-Instance GPU User Guide, "Supported MIG Profiles" (A100, H100, H200, B200): an accelerator has 7 compute
# and 8 memory slices; a profile of c compute slices takes m memory slices and starts at certain of them.
MIG_COMPUTE_SLICES = 7
MIG_MEMORY_SLICES = 8
_STARTS: dict[tuple[int, int], tuple[int, ...]] = {
    (1, 1): (0, 1, 2, 3, 4, 5, 6),
    (1, 2): (0, 2, 4, 6),
    (2, 2): (0, 2, 4),
    (3, 4): (0, 4),
    (4, 4): (0,),
    (7, 8): (0,),
}
_SLICE_TOLERANCE_FRAC = 0.12  # profile names round the memory: 10gb, 18gb, 23gb for an eighth of 80, 141, 180
_NAME = re.compile(r"([1-7])g\.(\d+)gb")


@dataclass(frozen=True, slots=True)
class MigProfile:
    """A profile as it is named: ``3g.40gb``.

    Attributes
    ----------
    compute_slices
        Of 7.
    memory_gb
        As in its name, 10⁹ bytes.
    """

    compute_slices: int
    memory_gb: int


@lru_cache
def mig_profile(name: str) -> MigProfile:
    """Return what a profile's name says.

    Raises
    ------
    InputError
        If the name is none.
    """
    found = _NAME.fullmatch(name)
    if not found:
        raise InputError(what="no such MIG profile", found=repr(name), allowed="names as 1g.10gb, 3g.40gb, 7g.80gb")
    return MigProfile(int(found[1]), int(found[2]))


def mig_slices(profile: MigProfile, memory_bytes: float) -> tuple[int, int] | None:
    """Return compute and memory slices of a profile on an accelerator of so much memory; None if it has no such one."""
    eighths = profile.memory_gb * 1e9 * MIG_MEMORY_SLICES / memory_bytes
    known = [slices for slices in _STARTS if slices[0] == profile.compute_slices]
    nearest = min(known, key=lambda slices: abs(eighths / slices[1] - 1), default=None)
    is_near = nearest is not None and abs(eighths - nearest[1]) <= _SLICE_TOLERANCE_FRAC * nearest[1]
    return nearest if is_near else None


def mig_fits(slices: Sequence[tuple[int, int]]) -> bool:
    """Return whether instances of so many compute and memory slices fit on one accelerator at once."""
    return _fits(tuple(sorted(slices, reverse=True)))


@lru_cache(maxsize=4096)
def _fits(slices: tuple[tuple[int, int], ...]) -> bool:
    if sum(c for c, _ in slices) > MIG_COMPUTE_SLICES or sum(m for _, m in slices) > MIG_MEMORY_SLICES:
        return False
    return _lay(slices, 0)


def _lay(slices: tuple[tuple[int, int], ...], used: int) -> bool:
    """Lay instances on memory slices, `used` a bit each; 4g takes the first half, 7g everything."""
    if not slices:
        return True
    _, memory = slices[0]
    for start in _STARTS.get(slices[0], ()):
        mask = ((1 << memory) - 1) << start
        if not used & mask and _lay(slices[1:], used | mask):
            return True
    return False
