"""Rail-only networks against rail-optimized Clos ones: ``python -m topologies.bill.rail_only``.

The comparison of Wang et al., "Rail-only: A Low-Cost High-Performance Network for Training LLMs with Trillion
Parameters" (arXiv:2307.12169): the same accelerators in scale-up domains of 256, once on a Clos network that joins all
rails, once on a network for each rail. The paper's figures are 38–77 % less cost and 37–75 % less power; it counts
switches and two transceivers a cable. Here the same is counted with our parts, and once more with the cables that the
floor plan asks for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from topologies.bill.bill import Bill, bill_of
from topologies.bill.money import price_of
from topologies.files.fabric_file import fabric_of
from topologies.files.loading import parse_document
from topologies.parts_catalog import load_parts

__all__ = ["PAPER", "PAPER_COST_FRAC", "PAPER_POWER_FRAC", "RailOnlyRow", "compare", "rail_only_table"]

PAPER = "arXiv:2307.12169"
PAPER_COST_FRAC = (0.38, 0.77)
PAPER_POWER_FRAC = (0.37, 0.75)
"""What the paper's abstract claims as saved, least and most."""

DOMAIN = 256
"""Accelerators in a scale-up domain of the paper's clusters."""

_ACCELERATORS_A_HOST = 8
_OPTIC = "smf-400-dr4"
"""The cable with two transceivers that every link is counted with, as the paper does."""

SWITCHES = {64: "qm9700", 128: "sn5600", 256: "tomahawk6-128x800g"}
"""A switch for each number of ports of 400 Gb/s that the paper looks at; ports of 800 Gb/s are split in two."""


@dataclass(frozen=True)
class RailOnlyRow:
    """One comparison.

    Attributes
    ----------
    accelerators, radix, switch
        Size, ports of 400 Gb/s a switch, and its part.
    clos_switches, rail_switches
        Switches of each network.
    clos_cables, rail_cables
        Cables of each network, two transceivers each.
    price_saved_frac, power_saved_frac
        With two transceivers a cable, as the paper counts.
    planned_price_saved_frac, planned_power_saved_frac
        With the cables of the floor plan: copper where it reaches.
    """

    accelerators: int
    radix: int
    switch: str
    clos_switches: int
    rail_switches: int
    clos_cables: int
    rail_cables: int
    price_saved_frac: float
    power_saved_frac: float
    planned_price_saved_frac: float
    planned_power_saved_frac: float


def compare(accelerators: int, radix: int) -> RailOnlyRow:
    """Return the comparison for a number of accelerators and a switch of `SWITCHES`.

    Raises
    ------
    InputError
        If a network cannot be built.
    """
    clos, rail = (_bill(kind, accelerators, radix) for kind in ("rail-optimized", "rail-only"))
    clos_price, clos_watts = _with_optics(clos)
    rail_price, rail_watts = _with_optics(rail)
    return RailOnlyRow(
        accelerators=accelerators,
        radix=radix,
        switch=SWITCHES[radix],
        clos_switches=_switches(clos),
        rail_switches=_switches(rail),
        clos_cables=_cables(clos),
        rail_cables=_cables(rail),
        price_saved_frac=1 - rail_price / clos_price,
        power_saved_frac=1 - rail_watts / clos_watts,
        planned_price_saved_frac=1 - rail.price.typical_usd / clos.price.typical_usd,
        planned_power_saved_frac=1 - rail.power.network_watts / clos.power.network_watts,
    )


def _bill(kind: str, accelerators: int, radix: int) -> Bill:
    hosts = accelerators // _ACCELERATORS_A_HOST
    domain = f"hosts_a_domain: {DOMAIN // _ACCELERATORS_A_HOST}\n" if kind == "rail-only" else ""
    text = (
        f"schema_version: 1\nkind: {kind}\nname: {kind}-{accelerators}\n"
        f"hosts: {{part: dgx-h100, count: {hosts}}}\n{domain}"
        f"network: {{leaf: {SWITCHES[radix]}, uplink_gbps: 400, spine_uplink_gbps: 400}}\n"
    )
    return bill_of(fabric_of(parse_document(text, f"{kind}.yaml")))


def _switches(bill: Bill) -> int:
    return sum(line.count for line in bill.switches if line.tier != "scale-up")


def _cables(bill: Bill) -> int:
    return sum(line.count for line in bill.cables if line.joins != "scale-up")


def _with_optics(bill: Bill) -> tuple[float, float]:
    """Return price and power with two transceivers a cable; fibres of 30 m."""
    part = load_parts()[_OPTIC]
    price = price_of(part, length_m=30.0)
    each = price.typical_usd if price else 0.0
    switches = sum(line.price.typical_usd for line in bill.switches if line.price and line.tier != "scale-up")
    cables = _cables(bill)
    watts = bill.power.switches_typical_watts + 2 * part.number("watts_per_end") * cables
    return switches + each * cables, watts


def rail_only_table() -> Iterator[str]:
    """Yield the comparison as the lines of a Markdown table."""
    yield "| accelerators | ports | switch | switches | cables | cost saved | power saved | with planned cables |"
    yield "| --: | --: | --- | --: | --: | --: | --: | --: |"
    for accelerators in (32_768, 65_536):
        for radix in SWITCHES:
            row = compare(accelerators, radix)
            yield (
                f"| {accelerators:,} | {radix} | `{row.switch}` | {row.clos_switches:,} → {row.rail_switches:,} "
                f"| {row.clos_cables:,} → {row.rail_cables:,} "
                f"| {row.price_saved_frac:.0%} | {row.power_saved_frac:.0%} "
                f"| {row.planned_price_saved_frac:.0%}, {row.planned_power_saved_frac:.0%} |"
            )


if __name__ == "__main__":
    for line in rail_only_table():
        sys.stdout.write(line + "\n")
