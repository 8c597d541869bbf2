"""Throughput against money and against power, a mark a design and size: who is beaten by nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from reports.figures.text import label
from reports.palette import JOBS, SYMBOLS

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["kept_tokens_per_s", "pareto_figure", "usd_per_hour"]

Cell = Mapping[str, Any]


def kept_tokens_per_s(cell: Cell) -> float:
    """Return tokens a second that failures leave."""
    return float(cell["tokens_per_s"]) * float(cell["reliability"]["goodput_frac"])


def usd_per_hour(cell: Cell, which: str = "typical") -> float | None:
    """Return what the cluster costs an hour: price of a million tokens × tokens of an hour."""
    price = cell["usd_per_mtoken"]
    return None if not price else float(price[which]) * kept_tokens_per_s(cell) * 3600 / 1e6


def pareto_figure(
    cells: Sequence[Cell], front: Sequence[int], workload: str, against: Literal["money", "power"]
) -> go.Figure:
    """Return throughput of one workload against US$ an hour, with low and high prices as whiskers, or against kW.

    Filled marks are on the front: no other design of the workload is better in time, money and power at once.
    """
    import plotly.graph_objects as go

    money = against == "money"
    on_front = set(front)
    designs = list(dict.fromkeys(str(cell["design"]) for cell in cells))
    unit = "US$ an hour" if money else "kW"
    figure = go.Figure()
    for number, design in enumerate(designs):
        color, symbol = JOBS[number % len(JOBS)], SYMBOLS[number % len(SYMBOLS)]
        own = [
            i
            for i, cell in enumerate(cells)
            if "refused" not in cell
            and (cell["design"], cell["workload"]) == (design, workload)
            and (cell["usd_per_mtoken"] or not money)
        ]
        if not own:
            continue
        typical, low, high = (
            [(usd_per_hour(cells[i], name) or 0.0) if money else float(cells[i]["power_kw"]) for i in own]
            for name in ("typical", "low", "high")
        )
        figure.add_scatter(
            x=typical,
            y=[kept_tokens_per_s(cells[i]) / 1e3 for i in own],
            mode="lines+markers" if len({cells[i]["accelerators"] for i in own}) > 1 else "markers",
            line={"color": color, "width": 1.2, "dash": "dot"},
            marker={
                "symbol": [symbol if i in on_front else f"{symbol}-open" for i in own],
                "size": 13,
                "color": color,
                "line": {"width": 2, "color": color},
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [h - t for h, t in zip(high, typical, strict=True)],
                "arrayminus": [t - v for t, v in zip(typical, low, strict=True)],
                "thickness": 1.2,
                "width": 4,
            }
            if money
            else None,
            customdata=[f"{cells[i]['accelerators']:,} accelerators" for i in own],
            hovertemplate=f"%{{y:,.1f}} k tokens/s for %{{x:,.0f}} {unit}<br>%{{customdata}}"
            f"<extra>{label(design)}</extra>",
            name=label(design, 24),
        )
    figure.update_yaxes(title="k tokens/s", rangemode="tozero")
    figure.update_xaxes(title=unit, rangemode="tozero", nticks=6)
    figure.update_layout(height=340, showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return figure
