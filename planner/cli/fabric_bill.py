"""``scaleplan fabric bill``: what a fabric is made of, costs, draws, can do and loses by a fault."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from planner.cli.output import print_json, print_lines, print_table

__all__ = ["register"]

_TIERS = {1: "leaf", 2: "spine", 3: "core"}


def register(app: typer.Typer) -> None:
    """Add the command to ``scaleplan fabric``."""
    app.command("bill")(bill)


def bill(
    fabric: Annotated[str, typer.Argument(metavar="FABRIC", help="A fabric file, or a name from the catalogue.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print what is to be bought as CSV.")] = False,
    wire_map: Annotated[
        Path | None, typer.Option("--wire-map", help="Write every cable with its ports here, as NetBox imports them.")
    ] = None,
    parts: Annotated[
        Path | None, typer.Option("--parts", help="A parts file of your own: adds parts, overrides attributes.")
    ] = None,
    rack_kw: Annotated[float, typer.Option("--rack-kw", min=0, help="Most that the hosts of a rack draw; 0: any.")] = 0,
    rack_units: Annotated[int, typer.Option("--rack-units", min=1, help="Height of a rack, U.")] = 42,
    racks_a_row: Annotated[int, typer.Option("--racks-a-row", min=0, help="Host racks in a row; 0: square.")] = 0,
    rack_pitch_m: Annotated[float, typer.Option("--rack-pitch-m", min=0, help="From rack to rack.")] = 0.6,
    row_pitch_m: Annotated[float, typer.Option("--row-pitch-m", min=0, help="From row to row.")] = 2.3,
) -> None:
    """Reckon the bill: switches, cables, racks, power, price, bisection, failure domains."""
    from planner.files.writing import write_text
    from topologies.bill.bill import bill_of
    from topologies.bill.layout import LayoutRules
    from topologies.bill.output import bill_csv, bill_dict
    from topologies.bill.wire_map import wire_map_csv
    from topologies.errors import InputError
    from topologies.files.fabric_file import load_fabric
    from topologies.parts_catalog import load_parts
    from topologies.units import from_kw

    if as_json and as_csv:
        raise InputError(what="two forms of output", found="--json and --csv", allowed="one of them")
    for option, value in (("rack-kw", rack_kw), ("rack-pitch-m", rack_pitch_m), ("row-pitch-m", row_pitch_m)):
        if not math.isfinite(value):
            raise InputError(what="not a number", where=f"--{option}", found=value, allowed="a number from 0")
    rules = LayoutRules(
        rack_units=rack_units,
        rack_watts=from_kw(rack_kw),
        racks_a_row=racks_a_row,
        rack_pitch_m=rack_pitch_m,
        row_pitch_m=row_pitch_m,
    )
    known = load_parts(parts)
    found = bill_of(load_fabric(fabric, parts=known), parts=known, rules=rules)
    if wire_map is not None:
        write_text(wire_map, wire_map_csv(found, parts=known))
    if as_json:
        print_json(bill_dict(found))
    elif as_csv:
        print_lines(bill_csv(found).splitlines())
    else:
        _print(bill_dict(found))
        if wire_map is not None:
            print_lines([f"wire map in {wire_map}"])


def _print(facts: dict[str, Any]) -> None:
    accelerators = facts["accelerators"]
    print_lines([f"{facts['fabric']}: {accelerators:,} accelerators in {facts['hosts']:,} hosts", ""])
    if facts["switches"]:
        print_table(
            ["switches", "model", "count", "ports used", "free", "typical kW", "thousand USD"],
            [
                [
                    row["tier"],
                    row["model"] or "not known",
                    row["count"],
                    row["ports_used"],
                    _or_dash(row["ports_free"]),
                    _or_dash(row["typical_kw"]),
                    _thousands(row["price"]),
                ]
                for row in facts["switches"]
            ],
        )
    if facts["cables"]:
        print_table(
            ["cables", "Gbit/s", "kind", "model", "m", "count", "kW", "thousand USD"],
            [
                [
                    row["joins"],
                    row["gbps"],
                    row["medium"],
                    row["model"] or "–",
                    row["length_m"],
                    row["count"],
                    row["kw"],
                    _thousands(row["price"]),
                ]
                for row in facts["cables"]
            ],
        )
    print_table(
        ["hosts", "count", "accelerators", "most kW", "thousand USD", "of"],
        [
            [
                row["model"] or "not known",
                row["count"],
                row["accelerators"],
                _or_dash(row["kw"]),
                _thousands(row["price"]),
                row["price_is_of"] or "–",
            ]
            for row in facts["host_models"]
        ],
    )
    print_lines(_sums(facts))
    _print_abilities(facts)
    print_table(
        ["one fault of", "there are", "accelerators cut off", "hosts", "capacity lost", "worst"],
        [
            [
                row["component"],
                row["count"],
                row["accelerators_cut_off"],
                row["hosts_cut_off"],
                f"{row['capacity_lost_frac']:.2%}",
                row["worst"],
            ]
            for row in facts["failure_domains"]
        ],
    )
    print_lines(f"assumed: {text}" for text in facts["assumptions"])
    figures: dict[tuple[str, str, bool], list[str]] = {}
    for row in facts["sources"]:
        figures.setdefault((row["part"], row["source"], row["verified"]), []).append(row["attribute"])
    print_table(
        ["figures of", "which", "checked", "source"],
        [[part, ", ".join(names), checked, source] for (part, source, checked), names in figures.items()],
    )


def _sums(facts: dict[str, Any]) -> list[str]:
    power, price, racks, each = facts["power_kw"], facts["price_usd"], facts["racks"], facts["per_accelerator"]
    return [
        f"racks: {racks['hosts']:,} of hosts, {racks['network']:,} of network, in {racks['rows']:,} rows; "
        f"{power['host_rack_mean']:,.4g} kW a host rack, {power['host_rack_most']:,.4g} at most; "
        f"{power['network_rack_most']:,.4g} kW at most in a network rack",
        f"power: {power['total']:,.5g} kW, of it hosts {power['hosts']:,.5g}, network {power['network']:,.4g} "
        f"({each['network_watts']:,.4g} W an accelerator)",
        f"price of the network: {price['low'] / 1e6:,.4g} / {price['typical'] / 1e6:,.4g} / {price['high'] / 1e6:,.4g} "
        f"million USD low / typical / high ({each['network_price_usd']['typical']:,.5g} USD an accelerator)",
        *_whole(facts),
        *(f"without a price, not in it: {text}" for text in facts["unpriced"]),
    ]


def _whole(facts: dict[str, Any]) -> list[str]:
    price = facts["whole_price_usd"]
    if price is None:
        return []
    each = facts["per_accelerator"]["whole_price_usd"]["typical"]
    return [
        f"price with hosts: {price['low'] / 1e6:,.4g} / {price['typical'] / 1e6:,.4g} / {price['high'] / 1e6:,.4g} "
        f"million USD ({each:,.5g} USD an accelerator)"
    ]


def _print_abilities(facts: dict[str, Any]) -> None:
    cut = facts["bisection"]
    lines = [
        f"oversubscription of the {_TIERS.get(row['tier'], row['tier'])} tier: {row['ratio']:.4g} to 1"
        for row in facts["oversubscription"]
    ]
    if cut is not None:
        lines.append(
            f"bisection of the {cut['network']} network: {cut['gbps']:,.6g} Gbit/s, {cut['of_full_frac']:.1%} of full "
            f"({cut['method']}; halves: {cut['split']})"
        )
    lines += [
        f"paths from leaf to leaf, {row['pair']}: {_span(row)} shortest ones of {row['hops']} cables, "
        f"{row['disjoint_min']:,} without a common cable"
        for row in facts["path_diversity"]
    ]
    print_lines(lines)


def _span(row: dict[str, Any]) -> str:
    low, high = row["shortest_min"], row["shortest_max"]
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"


def _or_dash(value: float | None) -> float | str:
    return "–" if value is None else value


def _thousands(price: dict[str, float] | None) -> float | str:
    return "–" if price is None else price["typical"] / 1e3
