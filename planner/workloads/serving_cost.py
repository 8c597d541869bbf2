"""What tokens cost at an accelerator's rent."""

from __future__ import annotations

import math

from topologies.parts import Part

__all__ = ["usd_per_mtoken"]


def usd_per_mtoken(part: Part, num_accelerators: int, tokens_per_s: float) -> dict[str, float] | None:
    """Return low, typical (geometric mean) and high price of a million tokens, or ``None`` if no rent is known."""
    low, high = part.number("rent_low_usd_per_h", math.nan), part.number("rent_high_usd_per_h", math.nan)
    if not math.isfinite(low) or not math.isfinite(high):
        return None
    scale = num_accelerators / 3600 / tokens_per_s * 1e6
    return {"low": low * scale, "typical": math.sqrt(low * high) * scale, "high": high * scale}
