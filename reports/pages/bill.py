"""The bill of a fabric: parts, cables, racks, power, price, what a fault takes down, and the wire map to take along."""

from __future__ import annotations

import math

from reports.figures.bill import price_figure, price_lines
from reports.page import Block, Download, Table, Tile
from topologies.bill.bill import Bill
from topologies.bill.money import Price
from topologies.bill.output import bill_csv
from topologies.bill.wire_map import wire_map_csv
from topologies.units import to_gbps, to_kw

__all__ = ["bill_blocks", "bill_tiles"]

_MOST_WIRED = 20_000
_MOST_LINES = 200
_MODEL = ("bill",)


def bill_tiles(bill: Bill) -> list[Tile]:
    """Return price and power, to take along."""
    price, power = bill.price, bill.power
    tiles = []
    if price.typical_usd:
        each = bill.per_accelerator(price.typical_usd)
        told = f"{_usd(price.low_usd)} to {_usd(price.high_usd)}; {each:,.0f} an accelerator"
        tiles.append(Tile("Network, US$", _usd(price.typical_usd), told))
    if power.total_watts:
        note = f"{to_kw(power.network_watts):,.0f} kW of it the network"
        tiles.append(Tile("Power", f"{to_kw(power.total_watts):,.0f} kW", note))
    return tiles


def bill_blocks(bill: Bill) -> list[Block]:
    """Return the sections: what to buy with its price, racks and power, what it can do, and what a fault takes down."""
    return [_parts(bill), _cables(bill), _power(bill), _faults(bill)]


def _usd(amount: float) -> str:
    """Return dollars in as many figures as they are worth."""
    for size, name in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(amount) >= size:
            return f"{amount / size:.3g} {name}"
    return f"{amount:.0f}"


def _prices(price: Price | None) -> list[object]:
    return ["–"] * 3 if price is None else [round(price.low_usd), round(price.typical_usd), round(price.high_usd)]


def _parts(bill: Bill) -> Block:
    rows: list[list[object]] = [
        [
            f"{s.tier} switches",
            s.model or "unknown",
            s.count,
            f"{s.ports_used:,} used, {s.ports_free:,} free" if s.ports else "–",
            "–" if math.isnan(s.typical_watts) else to_kw(s.typical_watts),
            *_prices(s.price),
        ]
        for s in bill.switches
    ]
    cables: dict[tuple[str, str], list[float]] = {}
    priced: dict[tuple[str, str], Price] = {}
    for cable in bill.cables:
        key = (cable.joins, cable.medium)
        entry = cables.setdefault(key, [0, 0.0])
        entry[0], entry[1] = entry[0] + cable.count, entry[1] + cable.watts
        if cable.price is not None:
            priced[key] = priced.get(key, Price()) + cable.price
    rows += [
        [f"{joins} cables", medium, int(count), "–", to_kw(watts), *_prices(priced.get((joins, medium)))]
        for (joins, medium), (count, watts) in cables.items()
    ]
    rows += [
        ["NICs, with the hosts", n.model, n.count, f"{n.cables:,} cables", "–", *_prices(n.price)] for n in bill.nics
    ]
    rows.append(["network together", "", "", "", to_kw(bill.power.network_watts), *_prices(bill.price)])
    lines = price_lines(bill)
    files = [Download("bill.csv", "Bill (CSV)", bill_csv(bill))]
    notes = [f"Not priced: {what}" for what in bill.unpriced]
    if len(bill.runs.link) <= _MOST_WIRED:
        files.append(Download("wire-map-ports.csv", "Wire map with ports, for NetBox (CSV)", wire_map_csv(bill)))
    else:
        notes.append(
            f"The wire map with ports has {len(bill.runs.link):,} cables: ‘scaleplan fabric bill {bill.fabric.name} "
            "--wire-map FILE’ writes it; the drawing above gives it without ports."
        )
    return Block(
        "bill",
        "Bill of the network",
        "What is to be bought between the hosts. Prices are planning estimates, never quotes, NICs not in them; a "
        "dash is a figure that the catalogue does not have.",
        price_figure(lines) if lines else None,
        "Bars: price of each kind of switch and cable, low to high as whiskers.",
        Table(["what", "model", "count", "ports", "kW", "low US$", "typical US$", "high US$"], rows),
        notes=notes,
        short="Bill",
        downloads=files,
        models=_MODEL,
    )


def _cables(bill: Bill) -> Block:
    rows = [
        [c.joins, c.gbps, c.medium, c.part or "–", float(c.length_m), c.count, c.transceivers, *_prices(c.price)[1:2]]
        for c in bill.cables[:_MOST_LINES]
    ]
    columns = ["joins", "Gbit/s", "medium", "model", "metres", "count", "transceivers", "US$"]
    lead = "Ordered lengths, by the rack and row model below; one line a kind, rate and length."
    return Block("cables", "Cables to order", lead, table=Table(columns, rows), short="Cables", models=_MODEL)


def _power(bill: Bill) -> Block:
    power = bill.power
    rows: list[list[object]] = [
        ["racks of hosts", bill.host_racks, f"in {bill.rows:,} rows"],
        ["racks of switches", bill.network_racks, ""],
        ["hosts, kW at most", to_kw(power.hosts_watts), ""],
        [
            "switches, kW as they usually draw",
            to_kw(power.switches_typical_watts),
            f"at most {to_kw(power.switches_most_watts):,.1f}",
        ],
        ["both ends of cables, kW", to_kw(power.cables_watts), ""],
        [
            "hosts and network, kW",
            to_kw(power.total_watts),
            f"{bill.per_accelerator(power.total_watts):,.0f} W an accelerator",
        ],
        ["fullest rack of hosts, kW", to_kw(power.rack_most_watts), f"mean {to_kw(power.rack_mean_watts):,.1f}"],
        ["fullest rack of switches, kW", to_kw(power.network_rack_most_watts), ""],
    ]
    rows += [
        [f"oversubscription above tier {r.tier}", f"{r.ratio:.3g} : 1",
         f"{to_gbps(r.down_bytes_per_s) / 1e3:,.1f} down, {to_gbps(r.up_bytes_per_s) / 1e3:,.1f} Tbit/s up"]
        for r in bill.oversubscription
    ]  # fmt: skip
    if bill.bisection is not None:
        b = bill.bisection
        told = f"{b.of_full_frac:.0%} of what the NICs could send; {b.method}, {b.split}"
        rows.append([f"bisection, {b.network}, Tbit/s", to_gbps(b.bytes_per_s) / 1e3, told])
    table = Table(["what", "value", "of it"], rows)
    return Block(
        "racks", "Racks, power and bisection", table=table, notes=bill.notes, short="Racks, power", models=_MODEL
    )


def _faults(bill: Bill) -> Block:
    rows = [
        [f.component, f.count, f.accelerators_cut_off, f.hosts_cut_off, f"{f.capacity_lost_frac:.2%}", f.example]
        for f in bill.failures
    ]
    columns = [
        "one of these fails",
        "count",
        "accelerators cut off",
        "hosts cut off",
        "capacity of its tier",
        "the worst one",
    ]
    lead = "The worst that one part of each class takes down; click any other in the drawing to see what hangs on it."
    return Block("faults", "What a fault takes down", lead, table=Table(columns, rows), short="Faults", models=_MODEL)
