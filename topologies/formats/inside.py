"""`HostInside`: what a file tells of the inside of one host: accelerators, NICs, and what joins them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["HostInside"]


@dataclass(frozen=True)
class HostInside:
    """One host.

    Attributes
    ----------
    accelerators, nics
        Labels, in order.
    nic_bytes_per_s
        ``(nics,)`` rate of each NIC; 0 where the file does not say.
    nearest
        ``(accelerator, nic, bytes_per_s)`` links between the two, by position; rate 0 where the file does not say.
    pairs
        ``(accelerator, accelerator, bytes_per_s)`` direct scale-up links; rate 0 where the file does not say.
    switched_bytes_per_s
        Rate of each accelerator into a scale-up switch that joins all of them, one direction; 0 for none.
    guesses
        What was guessed about the above.
    part
        Part id of the accelerators; empty if not known.
    """

    accelerators: Sequence[str]
    nics: Sequence[str]
    nic_bytes_per_s: Sequence[float]
    nearest: Sequence[tuple[int, int, float]] = ()
    pairs: Sequence[tuple[int, int, float]] = ()
    switched_bytes_per_s: float = 0.0
    guesses: Sequence[str] = field(default_factory=tuple)
    part: str = ""
