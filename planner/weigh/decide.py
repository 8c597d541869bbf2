"""From weighed cells to a decision: who is on the front, what it hangs on, and a paragraph that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import geometric_mean
from typing import Any

from planner.weigh.bill import bill_of
from planner.weigh.cell import STEP_ERROR_FRAC
from planner.weigh.priced import kept_of
from planner.weigh.serve_cell import SERVING_ERROR_FRAC, kept_by_service
from planner.weigh.study_file import Study

__all__ = ["RATIO_ERROR_FRAC", "decide", "pareto_front", "price_break_even", "tornado"]

Cell = Mapping[str, Any]

# Half of the ratios between two designs or sizes lie within this (suite `train`, domain ratios).
RATIO_ERROR_FRAC = 0.08
_LOW, _HIGH = 0.5, 2.0
_HOURS_A_YEAR = 8760.0


def _usable(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if "refused" not in cell and not cell["breaks"]]


def _price(cell: Cell) -> float | None:
    money = cell["usd_per_mtoken"]
    return float(money["typical"]) if money else None


def pareto_front(cells: Sequence[Cell]) -> list[int]:
    """Return the cells, by number, that no other of their workload beats in days, price and power at once.

    A cell without a price is compared in days and power alone.
    """

    def beats(a: Cell, b: Cell) -> bool:
        pairs = [(a["days_to_train"], b["days_to_train"]), (a["power_kw"], b["power_kw"])]
        prices = _price(a), _price(b)
        if prices[0] is not None and prices[1] is not None:
            pairs.append((prices[0], prices[1]))
        elif prices[1] is not None:
            return False
        return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)

    good = {id(cell) for cell in _usable(cells)}
    return [
        i
        for i, cell in enumerate(cells)
        if id(cell) in good
        and not any(
            id(other) in good and other["workload"] == cell["workload"] and beats(other, cell) for other in cells
        )
    ]


def _mean_score(cells: Sequence[Cell], design: str, *, money: bool) -> float | None:
    """Return the geometric mean of a design's price, or time × accelerators, over workloads; lower is better."""
    own = [cell for cell in _usable(cells) if cell["design"] == design]
    values = [_price(cell) if money else cell["days_to_train"] * cell["bought"] for cell in own]
    if not values or any(value is None for value in values):
        return None
    return geometric_mean([float(value) for value in values if value is not None])


def _pairs(cells: Sequence[Cell], first: str, second: str) -> list[tuple[Cell, Cell]]:
    """Return the priced cells of two designs that weigh the same workload at the same size."""
    priced = [cell for cell in _usable(cells) if _price(cell) is not None]
    other = {(c["workload"], c["accelerators"]): c for c in priced if c["design"] == second}
    return [
        (cell, other[cell["workload"], cell["accelerators"]])
        for cell in priced
        if cell["design"] == first and (cell["workload"], cell["accelerators"]) in other
    ]


def price_break_even(study: Study, cells: Sequence[Cell], first: str, second: str) -> float | None:
    """Return by what part the capital of `first` could rise (or must fall) until both cost the same a token.

    Power and failures stay. ``None`` if either has no price, or not even a hundred times its own would do.
    """
    hours = study.assumptions.depreciation_years * _HOURS_A_YEAR
    pairs = _pairs(cells, first, second)
    if not pairs:
        return None

    def ratio(factor: float) -> float:
        values = []
        for own, other in pairs:
            hourly = float(own["run_usd"]) / (float(own["days_to_train"]) * 24)
            part = float(own["capital_band_usd"]["typical"]) / hours / hourly if own["capital_usd"] else 1.0
            values.append((_price(own) or 0.0) * (1 + part * (factor - 1)) / (_price(other) or 1.0))
        return geometric_mean(values)

    low, high = 1e-6, 100.0
    if not ratio(low) < 1 < ratio(high):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ratio(middle) < 1 else (low, middle)
    return low - 1


def tornado(study: Study, cells: Sequence[Cell], first: str, second: str) -> list[dict[str, Any]]:
    """Return by how much the price of `first` over that of `second` moves when one assumption does; largest first.

    Power price, MTBF and restart are halved and doubled; the accelerator's price goes from low to high; the step time
    of one design against the other moves by what the suite's ratios miss.
    """
    pairs = _pairs(cells, first, second)
    designs = {design.name: design for design in study.designs}
    if not pairs:
        return []

    def ratio(changes: Mapping[str, float], band: tuple[str, str] = ("typical", "typical")) -> float:
        assumed = study.assumptions.changed(changes)

        def price(cell: Cell, which: str) -> float:
            design = designs[cell["design"]]
            count = int(cell["accelerators"])
            if cell.get("serving"):
                bought = int(cell["bought"])
                kept = kept_by_service(design, count, int(cell["replica"]), study.limits.rack_kw, assumed)
            else:
                domain = design.machine(count).full_domain
                used = int(cell["used_of_domain"])
                bought, kept = kept_of(design, count, int(cell["bought"]), domain, used, study.limits.rack_kw, assumed)
            bill = bill_of(design, bought, assumed, study.limits.rack_kw, built_for=count)
            rate = bill.usd_per_h[("low", "typical", "high").index(which)]
            return rate / (float(cell["tokens_per_s"]) * kept.goodput_frac)

        return geometric_mean([price(a, band[0]) / price(b, band[1]) for a, b in pairs])

    rows = [
        {"what": f"price of {first}", "low": ratio({}, ("low", "typical")), "high": ratio({}, ("high", "typical"))},
        {"what": f"price of {second}", "low": ratio({}, ("typical", "high")), "high": ratio({}, ("typical", "low"))},
        {"what": "step time of one against the other", "low": ratio({}) / (1 + RATIO_ERROR_FRAC),
         "high": ratio({}) * (1 + RATIO_ERROR_FRAC)},
    ]  # fmt: skip
    for key in (
        "power_usd_per_kwh", "depreciation_years", "host_price_frac", "accelerator_mtbf_h", "rack_mtbf_h",
        "leaf_mtbf_h", "restart_s", "checkpoint_s", "repair_h",
    ):  # fmt: skip
        base = getattr(study.assumptions, key)
        ends = sorted((ratio({key: base * _LOW}), ratio({key: base * _HIGH})))
        rows.append({"what": key, "low": ends[0], "high": ends[1]})
    return sorted(rows, key=lambda row: float(row["low"]) - float(row["high"]))


def decide(study: Study, cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the decision as plain data, with a paragraph under ``answer``."""
    names = [design.name for design in study.designs]
    by_money = {name: _mean_score(cells, name, money=True) for name in names}
    by_time = {name: _mean_score(cells, name, money=False) for name in names}
    money = sum(score is not None for score in by_money.values()) >= min(2, len(names))
    scores = by_money if money else by_time
    ranked = sorted((name for name in names if scores[name] is not None), key=lambda name: scores[name] or 0.0)
    refused = [f"{c['design']} × {c['workload']}: {c['refused']}" for c in cells if "refused" in c]
    broken = [f"{c['design']}: {', '.join(c['breaks'])}" for c in cells if c.get("breaks")]
    if not ranked:
        return {"choice": None, "ranked": [], "answer": "No design carries any workload within the limits.",
                "refused": refused, "broken": sorted(set(broken)), "tornado": []}  # fmt: skip
    compared = money and len(ranked) > 1
    bars = tornado(study, cells, ranked[0], ranked[1]) if compared else []
    even = price_break_even(study, cells, ranked[0], ranked[1]) if compared else None
    return {
        "choice": ranked[0],
        "ranked": [{"design": name, "score": scores[name]} for name in ranked],
        "score_is": "USD per million tokens, geometric mean" if money else "accelerator-days, geometric mean",
        "price_break_even_frac": even,
        "answer": _answer(cells, ranked, scores, bars, even, money=money),
        "refused": refused,
        "broken": sorted(set(broken)),
        "tornado": bars,
    }


def _answer(
    cells: Sequence[Cell],
    ranked: Sequence[str],
    scores: Mapping[str, float | None],
    bars: Sequence[Mapping[str, Any]],
    even: float | None,
    *,
    money: bool,
) -> str:
    best = ranked[0]
    own = [cell for cell in _usable(cells) if cell["design"] == best]
    unit = "per token" if money else "in accelerator-days"
    carried = {c["workload"] for c in own}
    over = "for " + next(iter(carried)) if len(carried) == 1 else f"over the {len(carried)} workloads"
    text = [f"{best} costs least {unit} {over}."]
    if money:
        bases = sorted({str(c["cost_basis"]) for c in _usable(cells)} - {"none"})
        text.append(f"Prices are {' and '.join(bases)}.")
    if len(ranked) > 1:
        other = ranked[1]
        lead = (scores[other] or 1.0) / (scores[best] or 1.0) - 1
        sure = "more than the model's error" if lead > RATIO_ERROR_FRAC else "within the model's error"
        text.append(
            f"{other} is next, {lead:.0%} dearer; that is {sure} (ratios are good to about {RATIO_ERROR_FRAC:.0%})."
        )
        if even is not None:
            text.append(f"It could cost {even:.0%} more to buy before {other} were as cheap.")
    premiums = {
        c["workload"]: c["domain"]["break_even_premium_frac"]
        for c in own
        if "break_even_premium_frac" in c.get("domain", {})
    }
    if premiums:
        low, high = min(premiums, key=lambda k: premiums[k]), max(premiums, key=lambda k: premiums[k])
        range_ = f"{premiums[low]:.1%} ({low})"
        if low != high:
            range_ += f" to {premiums[high]:.1%} ({high})"
        text.append(
            f"Its scale-up domain against one of 8 is worth a premium of {range_} an accelerator-hour, and no more."
        )
        bought = [c["domain"]["break_even_bought_frac"] for c in own if "break_even_bought_frac" in c.get("domain", {})]
        if bought:
            worth = f"{min(bought):.1%}" if len(bought) == 1 else f"{min(bought):.1%} to {max(bought):.1%}"
            text.append(f"Counting what stands by and what failures take, it is {worth} an accelerator bought.")
    enough = {c["workload"]: c["domain"]["enough"] for c in own if "domain" in c}
    if enough:
        told = ", ".join(f"{size} for {name}" for name, size in enough.items())
        text.append(f"Beyond these domains the gain is under 1 %: {told}.")
    tipping = [bar["what"] for bar in bars if float(bar["low"]) < 1 < float(bar["high"])]
    if tipping:
        text.append(f"The choice turns over within the range of: {', '.join(tipping)}.")
    elif bars:
        text.append("No single assumption within its range turns the choice over.")
    if not all(c.get("serving") for c in own):
        text.append(f"Days to train are good to ± {STEP_ERROR_FRAC:.0%} in nine of ten published runs.")
    if any(c.get("serving") for c in own):
        text.append(f"Tokens served are good to ± {SERVING_ERROR_FRAC:.0%} where they were measured.")
    return " ".join(text)
