"""The page of weighed designs: which to buy, what it hangs on, and where scale-up stops paying for itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from planner.report import WeighStudy
from reports.figures.break_even import break_even_figure, premium_by_domain
from reports.figures.pareto import kept_tokens_per_s, pareto_figure, usd_per_hour
from reports.figures.step_parts import PARTS, step_parts_figure
from reports.figures.sweep import sweep_figure
from reports.figures.tornado import ASSUMPTIONS, tornado_figure
from reports.markdown import render_markdown
from reports.page import Block, Page, Panel, Table, Tile, render_page

__all__ = ["WeighPage"]

_MOST_BARS = 48
_MOST_CURVES = 12
_MOST_ROWS = 400
_MOST_WORKLOADS = 6
_MODEL = ("train",)
_UNITS = {
    "power_usd_per_kwh": "US$ a kWh of power",
    "pue": "PUE: what the building draws over what the cluster draws",
    "depreciation_years": "years until the capital is written off",
    "accelerator_mtbf_h": "hours between failures of one accelerator",
    "restart_s": "s to restart after a failure",
    "checkpoint_s": "s to write a checkpoint",
    "repair_h": "h until what failed is repaired",
    "host_price_frac": "price of a host's other parts over that of its accelerators",
    "rack_repair_h": "h until a rack is repaired",
    "leaf_repair_h": "h until a leaf switch is replaced",
    "leaf_mtbf_h": "hours between failures of a leaf switch",
    "rack_mtbf_h": "hours between failures of what a rack shares",
}

Cell = Mapping[str, Any]


class WeighPage:
    """Renders a `WeighStudy`."""

    def render(self, study: WeighStudy) -> str:
        """Return the page as HTML."""
        return render_page(self.page(study))

    def render_markdown(self, study: WeighStudy) -> str:
        """Return the page's words and tables as Markdown."""
        return render_markdown(self.page(study))

    def page(self, study: WeighStudy) -> Page:
        """Return what stands on the page."""
        known = [cell for cell in study.cells if "refused" not in cell]
        blocks = [_ranking(study)] if study.decision.get("ranked") else []
        if study.swept and known:
            lead = "One line a design and workload, with what else was varied."
            alt = "Line chart: price of a token, or days to train, against the swept parameter."
            figure = sweep_figure(known, study.swept)
            blocks.append(Block("sweep", "What the swept parameters do", lead, figure, alt, short="Sweep"))
        if known:
            blocks += [_pareto(study), *_break_even(known), *_steps(known), *_tornado(study)]
        blocks += [_cells(study), *_refused(study), _sure(study)]
        return Page(
            study.title,
            _answer(study),
            [block for block in blocks if block is not None],
            study.provenance,
            eyebrow="Scale-up against scale-out",
            tiles=_tiles(study, known),
        )


def _answer(study: WeighStudy) -> list[str]:
    """Return the decision's paragraph, the choice first, what it hangs on second."""
    told = str(study.decision.get("answer", ""))
    if told:
        sentences = re.split(r"(?<=[.%]) (?=[A-Z])", told)
        cut = next((i for i, text in enumerate(sentences) if text.startswith("Its scale-up domain")), 2)
        return [text for text in (" ".join(sentences[:cut]), " ".join(sentences[cut:])) if text]
    names = ", ".join(name.replace("_", " ") for name in study.swept)
    usable = [cell for cell in study.cells if "refused" not in cell]
    refused = len(study.cells) - len(usable)
    first = f"{len(study.cells):,} points over {names or 'all'}: {len(study.front):,} of them are on the front"
    words = [first + (f", {refused:,} cannot be run." if refused else ".")]
    priced = [cell for cell in usable if cell["usd_per_mtoken"] and not cell["breaks"]]
    for workload in dict.fromkeys(cell["workload"] for cell in priced):
        best = min(
            (c for c in priced if c["workload"] == workload), key=lambda c: float(c["usd_per_mtoken"]["typical"])
        )
        at = ", ".join(f"{name.replace('_', ' ')} {value:,g}" for name, value in best["swept"].items())
        words.append(
            f"{workload}: the cheapest token is {best['usd_per_mtoken']['typical']:.3g} US$ a million, by "
            f"{best['design']} on {best['accelerators']:,} accelerators" + (f" with {at}." if at else ".")
        )
    return words


def _tiles(study: WeighStudy, known: Sequence[Cell]) -> list[Tile]:
    ranked = study.decision.get("ranked") or []
    if not ranked:
        return [
            Tile("Points", f"{len(study.cells):,}", f"{len(study.front):,} on the front"),
            Tile("Designs", f"{len(study.study.designs):,}", f"{len(study.study.workloads):,} workloads"),
        ]
    choice, money = str(study.decision["choice"]), "USD" in str(study.decision["score_is"])
    own = [cell for cell in known if cell["design"] == choice and not cell["breaks"]]
    unit = "US$ a million tokens, mean of workloads" if money else "accelerator-days, mean of workloads"
    tiles = [
        Tile("Choice", choice, unit),
        Tile("Its price" if money else "Its time", f"{ranked[0]['score']:.3g}", unit),
    ]
    if len(ranked) > 1:
        lead = float(ranked[1]["score"]) / float(ranked[0]["score"]) - 1
        tiles.append(Tile("Ahead of the next", f"{lead:.0%}", f"{ranked[1]['design']} is next"))
    premiums = [c["domain"]["break_even_premium_frac"] for c in own if "break_even_premium_frac" in c.get("domain", {})]
    if premiums:
        told = (
            f"{min(premiums):.0%}–{max(premiums):.0%}"
            if max(premiums) - min(premiums) > 0.005
            else f"{max(premiums):.0%}"
        )
        tiles.append(Tile("Its domain is worth", told, "more an hour than one of 8"))
    if own:
        tiles.append(
            Tile("Power", f"{max(float(c['power_kw']) for c in own):,.0f} kW", "at most, the building's part in it")
        )
    tiles[0] = Tile("Choice", choice, f"of {len(study.study.designs):,} designs")
    return tiles


def _ranking(study: WeighStudy) -> Block:
    """Return the decision table: a row a design, the choice first, a price and the days for each workload."""
    workloads = list(dict.fromkeys(str(cell["workload"]) for cell in study.cells))[:4]
    usable = [cell for cell in study.cells if "refused" not in cell and not cell["breaks"]]
    sizes = sorted({int(cell["accelerators"]) for cell in usable})
    rows: list[list[object]] = []
    for entry in study.decision["ranked"]:
        own = [cell for cell in usable if cell["design"] == entry["design"]]
        row: list[object] = [entry["design"], float(entry["score"])]
        for workload in workloads:
            best = min((c for c in own if c["workload"] == workload), key=_worth, default=None)
            row += [_price_text(best), "–" if best is None else float(best["days_to_train"])]
        if own:
            row += [max(float(c["power_kw"]) for c in own), max(int(c["racks"]) for c in own)]
        rows.append(row if own else [*row, "–", "–"])
    heads = [head for name in workloads for head in (f"{name}: US$ a million tokens", f"{name}: days")]
    columns = ["design", str(study.decision["score_is"]), *heads, "kW", "racks"]
    told = ", ".join(f"{size:,}" for size in sizes)
    lead = "The first line is the choice. Prices are typical, low to high in brackets; days are until the run is done."
    return Block(
        "decision",
        "Side by side",
        lead,
        table=Table(columns, rows, f"Accelerators: {told}; the best size of each", first_is_answer=True),
        short="Decision",
    )


def _worth(cell: Cell) -> float:
    return float(cell["usd_per_mtoken"]["typical"]) if cell["usd_per_mtoken"] else float(cell["days_to_train"])


def _price_text(cell: Cell | None) -> str:
    if cell is None or not cell["usd_per_mtoken"]:
        return "–"
    price = cell["usd_per_mtoken"]
    return f"{price['typical']:.3g} ({price['low']:.2g}–{price['high']:.2g})"


def _pareto(study: WeighStudy) -> Block:
    rows = []
    front = set(study.front)
    for i, cell in enumerate(study.cells[:_MOST_ROWS]):
        if "refused" in cell:
            continue
        money = usd_per_hour(cell)
        rows.append(
            [
                cell["design"],
                cell["workload"],
                int(cell["accelerators"]),
                kept_tokens_per_s(cell) / 1e3,
                "–" if money is None else round(money),
                float(cell["power_kw"]),
                "breaks a limit" if cell["breaks"] else "yes" if i in front else "no",
            ]
        )
    columns = ["design", "workload", "accelerators", "k tokens/s", "US$/h", "kW", "on the front"]
    return Block(
        "pareto",
        "Throughput for money and for power",
        "Up and to the left is better. Filled marks are on the front: nobody else on that workload is better in time, "
        "money and power at once. Whiskers are low and high prices; failures are taken off the throughput.",
        table=Table(columns, rows),
        short="Pareto",
        panels=_panels(study),
        models=_MODEL,
    )


def _panels(study: WeighStudy) -> list[Panel]:
    cells = study.cells
    known = [cell for cell in cells if "refused" not in cell]
    panels = []
    for workload in list(dict.fromkeys(str(cell["workload"]) for cell in known))[:_MOST_WORKLOADS]:
        own = [cell for cell in known if cell["workload"] == workload]
        if any(cell["usd_per_mtoken"] for cell in own):
            alt = f"Scatter chart for {workload}: tokens a second against US$ an hour, a mark a design and size."
            panels.append(Panel(f"{workload}: for money", pareto_figure(cells, study.front, workload, "money"), alt))
        alt = f"Scatter chart for {workload}: tokens a second against kW, a mark a design and size."
        panels.append(Panel(f"{workload}: for power", pareto_figure(cells, study.front, workload, "power"), alt))
    return panels


def _break_even(known: Sequence[Cell]) -> list[Block]:
    studied = [cell for cell in known if "domain" in cell][:_MOST_CURVES]
    if not studied:
        return []
    rows = []
    for cell in studied:
        domain = cell["domain"]
        size, premium = premium_by_domain(cell)
        nic = domain.get("nic_gbps_to_catch_up", "–")
        rows.append(
            [
                cell["design"],
                cell["workload"],
                int(cell["accelerators"]),
                int(cell["used_of_domain"]),
                int(domain["enough"]),
                f"{domain['break_even_premium_frac']:.1%}" if "break_even_premium_frac" in domain else "–",
                f"{max(premium):.1%} at {size[premium.index(max(premium))]:,}",
                "no rate does" if nic is None else nic,
            ]
        )
    columns = [
        "design", "workload", "accelerators", "domain used", "gain under 1 % beyond", "premium it is worth",
        "most any is worth", "Gbit/s a NIC that make up for it",
    ]  # fmt: skip
    return [
        Block(
            "domain",
            "Where scale-up stops paying for itself",
            "How much more an accelerator-hour may cost with a domain of that size than with one of 8, for the same "
            "price a token: all else stays as it is. The ring marks the domain the design uses; where a line is flat, "
            "more buys nothing.",
            break_even_figure(studied),
            "Line chart: break-even premium of a scale-up domain against its size, a line a design and workload.",
            Table(columns, rows),
            short="Break-even",
            models=_MODEL,
        )
    ]


def _steps(known: Sequence[Cell]) -> list[Block]:
    # A service has no training step.
    shown = [cell for cell in known if not cell.get("serving")][:_MOST_BARS]
    if not shown:
        return []
    columns = ["design", "workload", "accelerators", "step s", *PARTS.values()]
    rows = [
        [c["design"], c["workload"], int(c["accelerators"]), float(c["step_s"])]
        + [float(c["parts_s"].get(key, 0.0)) for key in PARTS]
        for c in shown
    ]
    workloads = list(dict.fromkeys(str(cell["workload"]) for cell in shown))[:_MOST_WORKLOADS]
    panels = [
        Panel(
            workload,
            step_parts_figure([cell for cell in shown if cell["workload"] == workload]),
            f"Stacked bars for {workload}: seconds of a training step by part, a bar a design and size.",
        )
        for workload in workloads
    ]
    return [
        Block(
            "step",
            "Where the time of a step goes",
            "The fastest way to spread each model, by part; communication is what overlap leaves of it.",
            table=Table(columns, rows),
            short="Step time",
            panels=panels,
            models=_MODEL,
        )
    ]


def _tornado(study: WeighStudy) -> list[Block]:
    bars, ranked = study.decision.get("tornado") or [], study.decision.get("ranked") or []
    if not bars or len(ranked) < 2:
        return []
    base = float(ranked[0]["score"]) / float(ranked[1]["score"])
    rows = [
        [
            ASSUMPTIONS.get(bar["what"], bar["what"]),
            float(bar["low"]),
            float(bar["high"]),
            "yes" if float(bar["low"]) < 1 < float(bar["high"]) else "no",
        ]
        for bar in bars
    ]
    first, second = ranked[0]["design"], ranked[1]["design"]
    return [
        Block(
            "tornado",
            "What the decision hangs on",
            f"Price of {first} over that of {second} when one assumption moves: below 1 the first is cheaper. Power, "
            "failures and repairs are halved and doubled; prices go from low to high; the step time moves by what the "
            "model's ratios miss.",
            tornado_figure(bars, base),
            "Tornado chart: range of the price ratio by assumption, the widest on top.",
            Table(["what moves", "lowest", "highest", "turns the choice over"], rows),
            short="Tornado",
            models=_MODEL,
        )
    ]


def _cells(study: WeighStudy) -> Block:
    rows: list[list[object]] = []
    for cell in study.cells[:_MOST_ROWS]:
        if "refused" in cell:
            continue
        low, high = cell["days_band"]
        swept = [f"{cell['swept'].get(name, cell['accelerators']):,g}" for name in study.swept]
        rows.append(
            [
                cell["design"],
                cell["workload"],
                int(cell["accelerators"]),
                *swept,
                float(cell["step_s"]),
                f"{cell['mfu_frac']:.1%}",
                f"{cell['days_to_train']:,.0f} ({low:,.0f}–{high:,.0f})",
                f"{cell['reliability']['goodput_frac']:.1%}",
                int(cell["reliability"]["spares"]),
                int(cell["racks"]),
                float(cell["rack_kw"]),
                _spread(cell["mapping"]),
                cell["why"],
            ]
        )
    columns = [
        "design", "workload", "accelerators", *(name.replace("_", " ") for name in study.swept), "step s", "MFU",
        "days (band)", "goodput", "spares", "racks", "kW a rack", "spread", "why so",
    ]  # fmt: skip
    more = f", the first {_MOST_ROWS}" if len(study.cells) > _MOST_ROWS else ""
    caption = f"{len(study.cells):,} points{more}"
    return Block("cells", "Every point in figures", table=Table(columns, rows, caption), short="All points")


def _spread(mapping: Mapping[str, Any]) -> str:
    return (
        " ".join(f"{name}{mapping[name]}" for name in ("tp", "cp", "pp", "dp", "ep") if mapping.get(name, 1) > 1) or "–"
    )


def _refused(study: WeighStudy) -> list[Block]:
    notes = [
        *(
            f"{c['design']} × {c['workload']} × {c['accelerators']:,}: {c['refused']}"
            for c in study.cells
            if "refused" in c
        ),
        *(
            f"{c['design']} × {c['accelerators']:,} breaks a limit: {', '.join(c['breaks'])}"
            for c in study.cells
            if c.get("breaks")
        ),
    ]
    told = list(dict.fromkeys(notes))
    if not told:
        return []
    shown = told[:50] + ([f"and {len(told) - 50} more"] if len(told) > 50 else [])
    return [Block("refused", "Left out, and why", notes=shown, short="Left out")]


def _sure(study: WeighStudy) -> Block:
    bases = sorted({str(c["cost_basis"]) for c in study.cells if "refused" not in c} - {"none"})
    notes = [
        "Days carry a band that nine of ten published runs lie in; ratios between designs are surer than days.",
        *([f"Prices are {' and '.join(bases)}: planning figures, never quotes."] if bases else []),
    ]
    rows = []
    for entry in fields(study.study.assumptions):
        value = getattr(study.study.assumptions, entry.name)
        if isinstance(value, (int, float)):
            rows.append([_UNITS.get(entry.name, entry.name.replace("_", " ")), float(value)])
    limits = study.study.limits
    for entry in fields(limits):
        if (value := getattr(limits, entry.name)) is not None:
            rows.append([f"limit: {entry.name.replace('_', ' ')}", value])
    return Block(
        "sure",
        "How sure this is, and what was assumed",
        table=Table(["assumed", "value"], rows),
        notes=notes,
        short="How sure",
    )
