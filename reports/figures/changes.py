"""What changed from one result to another: the largest changes first, and a figure of each thing before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reports.figures.text import label
from reports.palette import series_style

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["change_figure"]

_ROW_PX = 24
_LINE = "#7d8b99"


def change_figure(
    names: Sequence[str], series: Sequence[tuple[str, Sequence[float | None]]], title: str, *, suffix: str = ""
) -> go.Figure:
    """Return a row a thing with a mark for each result, joined by a line; the first thing on top.

    Parameters
    ----------
    names
        Of the things.
    series
        Result, and its value for each thing; None where it has none.
    """
    import plotly.graph_objects as go

    rows = list(range(len(names)))[::-1]
    values = np.array([[np.nan if v is None else float(v) for v in own] for _, own in series])
    figure = go.Figure()
    if values.size:
        seen = ~np.isnan(values).all(0)
        low, high = (np.full(len(names), np.nan) for _ in range(2))
        low[seen], high[seen] = np.nanmin(values[:, seen], 0), np.nanmax(values[:, seen], 0)
        figure.add_scatter(
            x=np.column_stack([low, high, np.full(len(rows), np.nan)]).ravel(),
            y=np.column_stack([rows, rows, np.full(len(rows), np.nan)]).ravel(),
            mode="lines",
            line={"color": _LINE, "width": 2},
            hoverinfo="skip",
            showlegend=False,
        )
    for number, (name, own) in enumerate(series):
        style = series_style(number)["marker"]
        figure.add_scatter(
            x=[None if v is None else float(v) for v in own],
            y=rows,
            mode="markers",
            name=label(name, 30),
            marker={**style, "size": 11},
            customdata=[label(text) for text in names],
            hovertemplate=f"%{{customdata}}: %{{x:,.4g}}{suffix}<extra>{label(name, 30)}</extra>",
        )
    figure.update_yaxes(
        tickvals=rows, ticktext=[label(text, 40) for text in names], range=[-0.7, len(rows) - 0.3], zeroline=False
    )
    figure.update_xaxes(title=title, ticksuffix=suffix, nticks=7)
    figure.update_layout(
        height=130 + _ROW_PX * len(rows), showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    return figure
