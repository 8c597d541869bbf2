"""A bill as plain data for JSON, and as rows for CSV and tables."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from topologies.bill.bill import Bill
from topologies.bill.money import Price
from topologies.units import to_gbps, to_kw

__all__ = ["BILL_COLUMNS", "BILL_SCHEMA", "bill_csv", "bill_dict", "bill_rows"]

BILL_SCHEMA = "scaleplan/bill/1"

BILL_COLUMNS = (
    "class",
    "item",
    "model",
    "count",
    "gbps",
    "length_m",
    "ports_used",
    "ports_free",
    "kw",
    "price_low_usd",
    "price_usd",
    "price_high_usd",
)
"""Columns of `bill_rows` and of the CSV file."""


def bill_dict(bill: Bill) -> dict[str, Any]:
    """Return the whole bill as plain data; what is not known is None."""
    accelerators = bill.fabric.num_accelerators
    power = bill.power
    return {
        "schema": BILL_SCHEMA,
        "fabric": bill.fabric.name,
        "fingerprint": bill.fabric.fingerprint,
        "accelerators": accelerators,
        "hosts": bill.fabric.num_hosts,
        "switches": [
            {
                "tier": line.tier,
                "model": line.model or None,
                "count": line.count,
                "ports": line.ports or None,
                "ports_used": line.ports_used,
                "ports_free": line.ports_free if line.ports else None,
                "ports_used_most": line.ports_used_most,
                "typical_kw": _known(to_kw(line.typical_watts)),
                "most_kw": _known(to_kw(line.most_watts)),
                "price": _price(line.price),
            }
            for line in bill.switches
        ],
        "cables": [
            {
                "joins": line.joins,
                "gbps": line.gbps,
                "medium": line.medium,
                "model": line.part or None,
                "length_m": line.length_m,
                "count": line.count,
                "transceivers": line.transceivers,
                "kw": to_kw(line.watts),
                "price": _price(line.price),
            }
            for line in bill.cables
        ],
        "nics": [
            {"model": line.model, "count": line.count, "cables": line.cables, "price": _price(line.price)}
            for line in bill.nics
        ],
        "host_models": [
            {
                "model": line.model or None,
                "count": line.count,
                "accelerators": line.accelerators,
                "kw": _known(to_kw(line.watts)),
                "price": _price(line.price),
                "price_is_of": None if line.price is None else "host" if line.is_whole else "accelerators",
            }
            for line in bill.hosts
        ],
        "racks": {"hosts": bill.host_racks, "network": bill.network_racks, "rows": bill.rows},
        "power_kw": {
            "hosts": to_kw(power.hosts_watts),
            "switches_typical": to_kw(power.switches_typical_watts),
            "switches_most": to_kw(power.switches_most_watts),
            "cables": to_kw(power.cables_watts),
            "network": to_kw(power.network_watts),
            "total": to_kw(power.total_watts),
            "host_rack_most": to_kw(power.rack_most_watts),
            "host_rack_mean": to_kw(power.rack_mean_watts),
            "network_rack_most": to_kw(power.network_rack_most_watts),
        },
        "price_usd": _price(bill.price),
        "whole_price_usd": _price(bill.whole_price),
        "unpriced": list(bill.unpriced),
        "per_accelerator": {
            "network_price_usd": _price(bill.price.times(1 / accelerators)),
            "whole_price_usd": _price(bill.whole_price.times(1 / accelerators) if bill.whole_price else None),
            "network_watts": power.network_watts / accelerators,
            "total_watts": power.total_watts / accelerators,
        },
        "oversubscription": [
            {
                "tier": ratio.tier,
                "down_gbps": to_gbps(ratio.down_bytes_per_s),
                "up_gbps": to_gbps(ratio.up_bytes_per_s),
                "ratio": ratio.ratio,
            }
            for ratio in bill.oversubscription
        ],
        "bisection": None
        if bill.bisection is None
        else {
            "network": bill.bisection.network,
            "gbps": to_gbps(bill.bisection.bytes_per_s),
            "full_gbps": to_gbps(bill.bisection.full_bytes_per_s),
            "of_full_frac": bill.bisection.of_full_frac,
            "method": bill.bisection.method,
            "split": bill.bisection.split,
        },
        "path_diversity": [
            {
                "pair": row.pair,
                "hops": row.hops,
                "shortest_min": row.shortest_min,
                "shortest_max": row.shortest_max,
                "disjoint_min": row.disjoint_min,
                "pairs": row.pairs,
            }
            for row in bill.diversity
        ],
        "failure_domains": [
            {
                "component": row.component,
                "count": row.count,
                "worst": row.example,
                "accelerators_cut_off": row.accelerators_cut_off,
                "hosts_cut_off": row.hosts_cut_off,
                "capacity_lost_frac": row.capacity_lost_frac,
            }
            for row in bill.failures
        ],
        "sources": [
            {"part": row.part, "attribute": row.attribute, "source": row.source, "verified": row.is_verified}
            for row in bill.sources
        ],
        "assumptions": [*bill.notes, *bill.fabric.assumptions],
    }


def bill_rows(bill: Bill) -> list[list[object]]:
    """Return one row for each thing to be bought, columns as `BILL_COLUMNS`; blank where nothing is known."""
    power = bill.power
    rows: list[dict[str, object]] = [
        {
            "class": "switch",
            "item": line.tier,
            "model": line.model,
            "count": line.count,
            "ports_used": line.ports_used,
            "ports_free": line.ports_free if line.ports else None,
            "kw": _known(to_kw(line.typical_watts)),
            **_price_cells(line.price),
        }
        for line in bill.switches
    ]
    rows += [
        {
            "class": "cable",
            "item": f"{line.joins}, {line.medium}",
            "model": line.part,
            "count": line.count,
            "gbps": line.gbps,
            "length_m": line.length_m,
            "kw": to_kw(line.watts),
            **_price_cells(line.price),
        }
        for line in bill.cables
    ]
    rows += [
        {
            "class": "nic",
            "item": "",
            "model": line.model,
            "count": line.count,
            "ports_used": line.cables,
            **_price_cells(line.price),
        }
        for line in bill.nics
    ]
    rows += [
        {
            "class": "host",
            "item": f"of {line.accelerators} accelerators",
            "model": line.model,
            "count": line.count,
            "kw": _known(to_kw(line.watts)),
            **_price_cells(line.price),
        }
        for line in bill.hosts
    ]
    rows.append({"class": "rack", "item": "hosts", "count": bill.host_racks, "kw": to_kw(power.hosts_watts)})
    rows.append({"class": "rack", "item": "network", "count": bill.network_racks})
    return [["" if row.get(column) is None else row[column] for column in BILL_COLUMNS] for row in rows]


def bill_csv(bill: Bill) -> str:
    """Return the rows of a bill as CSV with a header."""
    return _csv([list(BILL_COLUMNS), *bill_rows(bill)])


def _csv(rows: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _price(price: Price | None) -> dict[str, float] | None:
    if price is None:
        return None
    return {"low": price.low_usd, "typical": price.typical_usd, "high": price.high_usd}


def _price_cells(price: Price | None) -> dict[str, object]:
    if price is None:
        return {}
    return {"price_low_usd": price.low_usd, "price_usd": price.typical_usd, "price_high_usd": price.high_usd}
