"""What a design costs and draws: capital by part or rent, power, racks; and what failures leave of its time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from planner.weigh.study_file import Assumptions, Design
from topologies.parts import Part
from topologies.parts_catalog import load_parts
from topologies.units import from_gbps, from_kw

__all__ = ["Bill", "Reliability", "bill_of", "reliability_of"]

_HOURS_A_YEAR = 8760.0
# A whole host against its accelerators: DGX H100 10.2 kW for 8 × 700 W, DGX B200 14.3 kW for 8 × 1,000 W (catalogue).
_HOST_POWER_FACTOR = 1.8
# Racks that are cooled by air hold about this much where no limit is given; an NVL72 rack is what its design says.
_RACK_KW = 40.0
_TRANSCEIVERS_A_LINK = 2
# Prices of the network for one NIC rate scale with it: from the catalogue's 400G NIC, 64-port 400G switch, 400G optic.
_REFERENCE = ("connectx-7-400g", "qm9700")
_REFERENCE_GBPS = 400.0
_TRANSCEIVER_USD = 1250.0
_BAND = 0.3  # network prices are planning estimates: ± this part


@dataclass(frozen=True, slots=True)
class Bill:
    """Money, power and room of a cluster.

    Attributes
    ----------
    basis
        ``capital`` where the design states prices, else ``rent``.
    capital_usd
        By part, typical prices; empty for rent.
    usd_per_h
        Low, typical and high, power included.
    watts
        Most it draws, without what the building adds.
    racks
        Racks of hosts.
    rack_watts
        What one of them draws.
    """

    basis: str
    capital_usd: dict[str, float]
    usd_per_h: tuple[float, float, float]
    watts: float
    racks: int
    rack_watts: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """What failures leave.

    Attributes
    ----------
    mtbf_h
        Between failures of the whole job.
    checkpoint_every_s
        The best distance between checkpoints (Young 1974, Daly 2006).
    goodput_frac
        Part of the time that makes progress that is kept.
    spares
        Accelerators that must stand by so that repairs are not waited for.
    """

    mtbf_h: float
    checkpoint_every_s: float
    goodput_frac: float
    spares: int


def _network_usd(design: Design, num_accelerators: int) -> dict[str, float]:
    """Price NICs, switch ports and optics of a Clos of as many tiers as the size needs."""
    parts = load_parts()
    nic, switch = (parts[name] for name in _REFERENCE)
    gbps = float(design.values.get("nic_gbps") or design.part.number("scale_out_bytes_per_s") / from_gbps(1.0))
    scale = gbps / _REFERENCE_GBPS
    radix = switch.number("num_ports")
    tiers = 1 if num_accelerators <= radix else (2 if num_accelerators <= radix**2 / 2 else 3)
    above = (tiers - 1) / float(design.values.get("oversubscription") or 1.0)
    links = num_accelerators * (1 + above)
    ports = num_accelerators * (1 + 2 * above)
    return {
        "nics": num_accelerators * scale * nic.number("price_usd"),
        "switches": ports * scale * switch.number("price_usd") / radix,
        "optics": links * scale * _TRANSCEIVERS_A_LINK * _TRANSCEIVER_USD,
    }


def _watts_an_accelerator(design: Design) -> float:
    stated = design.values.get("watts_an_accelerator")
    if stated:
        return float(stated)
    host = next((p for p in load_parts().values() if _is_host_of(p, design.part)), None)
    if host is not None:
        return host.number("watts") / host.number("num_accelerators")
    return design.part.number("watts", 1000.0) * _HOST_POWER_FACTOR


def _is_host_of(host: Part, accelerator: Part) -> bool:
    return host.part_class == "host" and host.values.get("accelerator") == accelerator.id and "watts" in host.values


def bill_of(design: Design, num_accelerators: int, assumptions: Assumptions, rack_kw: float | None = None) -> Bill:
    """Return what a cluster of a design costs, draws and fills.

    Parameters
    ----------
    design, num_accelerators
        What is bought, spares included.
    assumptions
        Power price, PUE, depreciation.
    rack_kw
        What a rack may draw, where the design does not say how many accelerators it holds.
    """
    each = _watts_an_accelerator(design)
    watts = each * num_accelerators
    a_rack = design.values.get("accelerators_a_rack")
    if not a_rack:
        domain = int(design.values.get("scale_up_domain") or design.part.number("scale_up_domain", 8))
        a_rack = max(1, int(from_kw(rack_kw or _RACK_KW) // (each * domain))) * domain
    power_usd = watts / 1e3 * assumptions.pue * assumptions.power_usd_per_kwh
    price = design.values.get("price_usd")
    if price:
        low = design.values.get("price_low_usd") or price * (1 - _BAND)
        high = design.values.get("price_high_usd") or price * (1 + _BAND)
        network = _network_usd(design, num_accelerators)
        capital = {"accelerators": num_accelerators * float(price), **network}
        hours = assumptions.depreciation_years * _HOURS_A_YEAR
        net = sum(network.values())
        low_h, typical_h, high_h = (
            (num_accelerators * float(p) + net * factor) / hours + power_usd
            for p, factor in ((low, 1 - _BAND), (price, 1.0), (high, 1 + _BAND))
        )
        rates, basis = (low_h, typical_h, high_h), "capital"
    else:
        rent_low = design.part.number("rent_low_usd_per_h", math.nan)
        rent_high = design.part.number("rent_high_usd_per_h", math.nan)
        typical = math.sqrt(rent_low * rent_high)
        if rent_low == rent_high:  # one price was found: it is no range
            rent_low, rent_high = rent_low * (1 - _BAND), rent_high * (1 + _BAND)
        rates = (rent_low * num_accelerators, typical * num_accelerators, rent_high * num_accelerators)
        capital, basis = {}, "rent" if math.isfinite(rent_low) else "none"
    return Bill(basis, capital, rates, watts, math.ceil(num_accelerators / int(a_rack)), each * int(a_rack))


def reliability_of(design: Design, num_accelerators: int, assumptions: Assumptions) -> Reliability:
    """Return what failures leave of a job that holds `num_accelerators`.

    A failure stops the whole job: it loses half a checkpoint's distance and a restart. Until it is repaired, what
    stands in the same unit (a tray, or what the design says) is lost too; spares cover what is in repair on average
    and three standard deviations more.
    """
    mtbf_s = assumptions.accelerator_mtbf_h * 3600 / num_accelerators
    every = math.sqrt(2 * assumptions.checkpoint_s * mtbf_s)
    lost = assumptions.checkpoint_s / every + every / (2 * mtbf_s) + assumptions.restart_s / mtbf_s
    blast = int(design.values.get("blast_accelerators") or min(8, design.values.get("scale_up_domain") or 8))
    in_repair = num_accelerators / assumptions.accelerator_mtbf_h * assumptions.repair_h
    units = in_repair + 3 * math.sqrt(in_repair)
    return Reliability(mtbf_s / 3600, every, 1 / (1 + lost), math.ceil(units) * blast)
