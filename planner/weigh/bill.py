"""What a design costs and draws: capital by part or rent, power, racks, floor."""

from __future__ import annotations

import math
from dataclasses import dataclass

from planner.weigh.cluster import Cluster, accelerators_a_rack, cluster_of, host_part_of, watts_an_accelerator
from planner.weigh.study_file import Assumptions, Design
from topologies.bill.money import HIGH_FRAC, LOW_FRAC, Price, price_of

__all__ = ["Bill", "bill_of"]

_HOURS_A_YEAR = 8760.0
_RENT_BAND = 0.3  # one rent was found: it is no range; ± this part


@dataclass(frozen=True, slots=True)
class Bill:
    """Money, power and room of a cluster.

    Attributes
    ----------
    basis
        ``capital`` where prices are known, else ``rent``, or ``none``.
    capital_usd
        By part, typical prices; empty for rent.
    capital_band_usd
        Low, typical and high, of all parts.
    usd_per_h
        Low, typical and high, power included.
    watts
        Most it draws, network included, without what the building adds.
    racks
        Racks of hosts.
    rack_watts
        What one of them draws.
    network_racks
        Racks of switches.
    floor_m2
        Floor of all racks with their aisles.
    parts
        How many of each part there are.
    unpriced
        What has no price and is not in it.
    """

    basis: str
    capital_usd: dict[str, float]
    capital_band_usd: tuple[float, float, float]
    usd_per_h: tuple[float, float, float]
    watts: float
    racks: int
    rack_watts: float
    network_racks: int
    floor_m2: float
    parts: dict[str, int]
    unpriced: tuple[str, ...]


def bill_of(
    design: Design,
    num_accelerators: int,
    assumptions: Assumptions,
    rack_kw: float | None = None,
    *,
    built_for: int | None = None,
) -> Bill:
    """Return what a cluster of a design costs, draws and fills.

    Parameters
    ----------
    design, num_accelerators
        What is bought, spares included.
    assumptions
        Power price, PUE, depreciation, whether capital or rent.
    rack_kw
        What a rack may draw, where the design does not say how many accelerators it holds.
    built_for
        The size that the network is laid out for; what is bought beyond it is taken in proportion. All that is bought
        if ``None``.

    Raises
    ------
    InputError
        If the design's network cannot be built.
    InfeasibleError
        If the design is a fabric with fewer accelerators.
    """
    laid_out = cluster_of(design, built_for or num_accelerators, rack_kw)
    cluster = laid_out.share(num_accelerators / laid_out.accelerators)
    each = watts_an_accelerator(design)
    watts = each * num_accelerators + cluster.network_watts
    power_usd = watts / 1e3 * assumptions.pue * assumptions.power_usd_per_kwh
    capital = _capital(design, cluster, num_accelerators, assumptions)
    if capital is not None and assumptions.price_basis == "capital":
        total = sum(capital.values(), Price())
        hours = assumptions.depreciation_years * _HOURS_A_YEAR
        band = (total.low_usd, total.typical_usd, total.high_usd)
        rates, basis = tuple(usd / hours + power_usd for usd in band), "capital"
        by_part = {name: price.typical_usd for name, price in capital.items()}
    else:
        rates, by_part, band = _rents(design, num_accelerators), {}, (0.0, 0.0, 0.0)
        basis = "rent" if math.isfinite(rates[0]) else "none"
    a_rack = accelerators_a_rack(design, rack_kw) if design.fabric() is None else cluster.accelerators_a_rack
    return Bill(
        basis=basis,
        capital_usd=by_part,
        capital_band_usd=band,
        usd_per_h=(rates[0], rates[1], rates[2]),
        watts=watts,
        racks=cluster.host_racks,
        rack_watts=each * a_rack,
        network_racks=cluster.network_racks,
        floor_m2=cluster.floor_m2,
        parts=dict(cluster.parts),
        unpriced=cluster.unpriced,
    )


def _capital(
    design: Design, cluster: Cluster, num_accelerators: int, assumptions: Assumptions
) -> dict[str, Price] | None:
    """Return prices by part, or ``None`` if the accelerators have none.

    A design may state its own price of an accelerator with its share of a host. Else a host with a price counts as a
    whole, with its accelerators and NICs; else the accelerator's price, with a share for the rest of the host.
    """
    network = {"switches": cluster.switches, "cables": cluster.cables}
    nics = {"nics": cluster.nics} if cluster.nics else {}
    stated = design.values.get("price_usd")
    if stated:
        low = float(design.values.get("price_low_usd") or stated * LOW_FRAC)
        high = float(design.values.get("price_high_usd") or stated * HIGH_FRAC)
        return {"accelerators": Price(low, float(stated), high).times(num_accelerators), **nics, **network}
    host = host_part_of(design.part)
    whole = price_of(host) if host else None
    if host is not None and whole is not None:
        return {"hosts": whole.times(num_accelerators / host.number("num_accelerators")), **network}
    each = price_of(design.part)
    if each is None:
        return None
    accelerators = each.times(num_accelerators)
    return {
        "accelerators": accelerators,
        "hosts": accelerators.times(assumptions.host_price_frac),
        **nics,
        **network,
    }


def _rents(design: Design, num_accelerators: int) -> tuple[float, float, float]:
    low = design.part.number("rent_low_usd_per_h", math.nan)
    high = design.part.number("rent_high_usd_per_h", math.nan)
    typical = math.sqrt(low * high)
    if low == high:
        low, high = low * (1 - _RENT_BAND), high * (1 + _RENT_BAND)
    return low * num_accelerators, typical * num_accelerators, high * num_accelerators
