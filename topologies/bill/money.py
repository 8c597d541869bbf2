"""Prices as a low, a typical and a high figure, with where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from topologies.parts import Part

__all__ = ["HIGH_FRAC", "LOW_FRAC", "PRICE_BAND_SOURCE", "Price", "price_of"]

LOW_FRAC = 0.70
HIGH_FRAC = 1.50
PRICE_BAND_SOURCE = "AACE International 18R-97, class 4 estimate (feasibility): −30 % to +50 %"
"""What low and high are where a part has one price only."""


@dataclass(frozen=True)
class Price:
    """US dollars; a sum of prices is one too."""

    low_usd: float = 0.0
    typical_usd: float = 0.0
    high_usd: float = 0.0

    def __add__(self, other: Price) -> Price:
        return Price(self.low_usd + other.low_usd, self.typical_usd + other.typical_usd, self.high_usd + other.high_usd)

    def times(self, count: float) -> Price:
        """Return the price of `count` of it."""
        return Price(self.low_usd * count, self.typical_usd * count, self.high_usd * count)


def price_of(part: Part, *, length_m: float = 0.0) -> Price | None:
    """Return the price of one part; of a cable with its length and both transceivers. None if it has no price."""
    if "price_usd" not in part.values:
        return None
    typical = part.number("price_usd") + length_m * part.number("price_usd_per_m", 0.0)
    typical += 2 * part.number("transceiver_price_usd", 0.0)
    return Price(
        part.number("price_low_usd", LOW_FRAC * typical), typical, part.number("price_high_usd", HIGH_FRAC * typical)
    )
