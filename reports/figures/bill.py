"""What a network costs and draws, by what is bought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.figures.text import label
from reports.palette import JOBS
from topologies.bill.bill import Bill
from topologies.bill.money import Price

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["price_figure", "price_lines"]

_MOST_BARS = 16


def price_lines(bill: Bill) -> list[tuple[str, Price]]:
    """Return what is bought and its price, the dearest first: switches by tier and model, cables by what they join."""
    total: dict[str, Price] = {}
    for switch in bill.switches:
        if switch.price is not None:
            name = f"{switch.tier} switches {switch.model}"
            total[name] = total.get(name, Price()) + switch.price
    for cable in bill.cables:
        if cable.price is not None:
            name = f"{cable.joins}, {cable.medium}"
            total[name] = total.get(name, Price()) + cable.price
    return sorted(total.items(), key=lambda item: -item[1].typical_usd)


def price_figure(lines: Sequence[tuple[str, Price]]) -> go.Figure:
    """Return a bar a thing to be bought, the dearest on top, with low and high prices as whiskers."""
    import plotly.graph_objects as go

    shown = list(lines[:_MOST_BARS])[::-1]
    figure = go.Figure()
    figure.add_bar(
        y=[label(name, 44) for name, _ in shown],
        x=[price.typical_usd for _, price in shown],
        orientation="h",
        marker={"color": JOBS[0]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [price.high_usd - price.typical_usd for _, price in shown],
            "arrayminus": [price.typical_usd - price.low_usd for _, price in shown],
            "color": JOBS[5],
            "thickness": 1.6,
            "width": 5,
        },
        customdata=[[price.low_usd, price.high_usd] for _, price in shown],
        hovertemplate="%{y}: US$ %{x:,.0f}, from %{customdata[0]:,.0f} to %{customdata[1]:,.0f}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(title="US$, low to high as whiskers", rangemode="tozero", nticks=6)
    figure.update_layout(height=110 + 32 * len(shown), bargap=0.4)
    return figure
