"""Rail-only networks against rail-optimized Clos ones: ``python -m topologies.bill.rail_only``.

The comparison of Wang et al., "Rail-only: A Low-Cost High-Performance Network for Training LLMs with Trillion
Parameters" (arXiv:2307.12169): the same accelerators in scale-up domains of 256, once on a Clos network that joins all
rails, once on a network for each rail. The paper's figures are 38–77 % less cost and 37–75 % less power; it counts
switches and two transceivers a cable. Here the same is counted with our parts, and once more with the cables that the
floor plan asks for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from topologies.bill.cables import cable_lines, cable_runs
from topologies.bill.hosts import host_boxes
from topologies.bill.layout import LayoutRules, plan_floor
from topologies.bill.money import price_of
from topologies.bill.switches import switch_lines, switch_units
from topologies.files.fabric_file import fabric_of
from topologies.files.loading import parse_document
from topologies.parts_catalog import load_parts

__all__ = [
    "PAPER",
    "PAPER_COST_FRAC",
    "PAPER_POWER_FRAC",
    "SIZES",
    "RailOnlyRow",
    "all_rows",
    "compare",
    "rail_only_table",
    "saved_ranges",
]

PAPER = "arXiv:2307.12169"
PAPER_COST_FRAC = (0.38, 0.77)
PAPER_POWER_FRAC = (0.37, 0.75)
"""What the paper's abstract claims as saved, least and most."""

SIZES = (32_768, 65_536)
"""Numbers of accelerators that are compared."""

DOMAIN = 256
"""Accelerators in a scale-up domain of the paper's clusters."""

_ACCELERATORS_A_HOST = 8
_FIBRE_M = 30.0
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
    switch_price_frac, switch_power_frac
        Share of the switches in the Clos network's price and power, counted so.
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
    switch_price_frac: float
    switch_power_frac: float
    planned_price_saved_frac: float
    planned_power_saved_frac: float


def compare(accelerators: int, radix: int) -> RailOnlyRow:
    """Return the comparison for a number of accelerators and a switch of `SWITCHES`.

    Raises
    ------
    InputError
        If a network cannot be built.
    """
    clos, rail = (_network(kind, accelerators, radix) for kind in ("rail-optimized", "rail-only"))
    return RailOnlyRow(
        accelerators=accelerators,
        radix=radix,
        switch=SWITCHES[radix],
        clos_switches=clos.switches,
        rail_switches=rail.switches,
        clos_cables=clos.cables,
        rail_cables=rail.cables,
        price_saved_frac=1 - rail.usd / clos.usd,
        power_saved_frac=1 - rail.watts / clos.watts,
        switch_price_frac=clos.switch_usd / clos.usd,
        switch_power_frac=clos.switch_watts / clos.watts,
        planned_price_saved_frac=1 - rail.planned_usd / clos.planned_usd,
        planned_power_saved_frac=1 - rail.planned_watts / clos.planned_watts,
    )


@dataclass(frozen=True)
class _Network:
    """Counts, price and power of one network: with two transceivers a cable, and with the cables of the floor plan."""

    switches: int
    cables: int
    switch_usd: float
    switch_watts: float
    usd: float
    watts: float
    planned_usd: float
    planned_watts: float


def _network(kind: str, accelerators: int, radix: int) -> _Network:
    hosts = accelerators // _ACCELERATORS_A_HOST
    domain = f"hosts_a_domain: {DOMAIN // _ACCELERATORS_A_HOST}\n" if kind == "rail-only" else ""
    text = (
        f"schema_version: 1\nkind: {kind}\nname: {kind}-{accelerators}\n"
        f"hosts: {{part: dgx-h100, count: {hosts}}}\n{domain}"
        f"network: {{leaf: {SWITCHES[radix]}, uplink_gbps: 400, spine_uplink_gbps: 400}}\n"
    )
    parts, rules = load_parts(), LayoutRules()
    fabric = fabric_of(parse_document(text, f"{kind}.yaml"), parts=parts)
    boxes = host_boxes(fabric, parts, rules.default_host_units)
    floor = plan_floor(fabric, rules, host_units=boxes.units, host_watts=boxes.watts, node_units=switch_units(fabric))
    lines = [line for line in switch_lines(fabric) if line.tier != "scale-up"]
    runs = cable_runs(fabric, floor, rules)
    planned = [line for line in cable_lines(fabric, runs, parts, []) if line.joins != "scale-up"]
    cables = sum(line.count for line in planned)
    optic = parts[_OPTIC]
    price = price_of(optic, length_m=_FIBRE_M)
    switch_usd = sum(line.price.typical_usd for line in lines if line.price)
    switch_watts = sum(line.typical_watts for line in lines)
    return _Network(
        switches=sum(line.count for line in lines),
        cables=cables,
        switch_usd=switch_usd,
        switch_watts=switch_watts,
        usd=switch_usd + cables * (price.typical_usd if price else 0.0),
        watts=switch_watts + 2 * optic.number("watts_per_end") * cables,
        planned_usd=switch_usd + sum(line.price.typical_usd for line in planned if line.price),
        planned_watts=switch_watts + sum(line.watts for line in planned),
    )


def rail_only_table(rows: Sequence[RailOnlyRow]) -> Iterator[str]:
    """Yield the comparison as the lines of a Markdown table, the paper's range last."""
    yield (
        "| accelerators | ports | switch | switches | cables | cost saved | power saved "
        "| switches' share of cost, power | saved with planned cables |"
    )
    yield "| --: | --: | --- | --: | --: | --: | --: | --: | --: |"
    for row in rows:
        yield (
            f"| {row.accelerators:,} | {row.radix} | `{row.switch}` | {row.clos_switches:,} → {row.rail_switches:,} "
            f"| {row.clos_cables:,} → {row.rail_cables:,} "
            f"| {row.price_saved_frac:.0%} | {row.power_saved_frac:.0%} "
            f"| {row.switch_price_frac:.0%}, {row.switch_power_frac:.0%} "
            f"| {row.planned_price_saved_frac:.0%}, {row.planned_power_saved_frac:.0%} |"
        )
    cost, power = saved_ranges(rows)
    yield (
        f"| all | | | | | {cost[0]:.0%}–{cost[1]:.0%}, paper {PAPER_COST_FRAC[0]:.0%}–{PAPER_COST_FRAC[1]:.0%} "
        f"| {power[0]:.0%}–{power[1]:.0%}, paper {PAPER_POWER_FRAC[0]:.0%}–{PAPER_POWER_FRAC[1]:.0%} | | |"
    )


def saved_ranges(rows: Sequence[RailOnlyRow]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return least and most saved, of the cost and of the power, as the paper counts."""
    cost = [row.price_saved_frac for row in rows]
    power = [row.power_saved_frac for row in rows]
    return (min(cost), max(cost)), (min(power), max(power))


def all_rows() -> list[RailOnlyRow]:
    """Return the comparison of every size and switch."""
    return [compare(accelerators, radix) for accelerators in SIZES for radix in SWITCHES]


if __name__ == "__main__":
    for line in rail_only_table(all_rows()):
        sys.stdout.write(line + "\n")
