"""What a swept parameter does to the price of a token, or to the days of a run where there is no price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.text import label
from reports.palette import series_style

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["sweep_figure"]

_MOST_LINES = 16


def sweep_figure(cells: Sequence[Mapping[str, Any]], names: Sequence[str]) -> go.Figure:
    """Return a line a design, workload and value of the other parameters, against the parameter of most values."""
    import plotly.graph_objects as go

    def value(cell: Mapping[str, Any], name: str) -> float:
        return float(cell["accelerators"] if name == "size" else cell["swept"].get(name, 0.0))

    across = max(names, key=lambda name: len({value(cell, name) for cell in cells}))
    priced = all(cell["usd_per_mtoken"] for cell in cells)
    lines: dict[str, list[tuple[float, float]]] = {}
    for cell in cells:
        others = [f"{name} {value(cell, name):,g}" for name in names if name != across]
        if across != "size" and "size" not in names:
            others.append(f"{cell['accelerators']:,}")
        key = ", ".join([label(str(cell["design"]), 24), label(str(cell["workload"]), 24), *others])
        y = float(cell["usd_per_mtoken"]["typical"]) if priced else float(cell["days_to_train"])
        lines.setdefault(key, []).append((value(cell, across), y))
    figure = go.Figure()
    for number, (key, points) in enumerate(list(lines.items())[:_MOST_LINES]):
        points.sort()
        figure.add_scatter(
            x=[x for x, _ in points],
            y=[y for _, y in points],
            mode="lines+markers",
            name=key,
            hovertemplate="%{y:,.3g} at %{x:,}<extra>" + key + "</extra>",
            **series_style(number),
        )
    marks = sorted({x for points in lines.values() for x, _ in points})
    spread = len(marks) > 1 and marks[-1] / marks[0] >= 8
    ticks = {"tickvals": marks, "ticktext": [f"{m:,g}" for m in marks]} if len(marks) <= 12 else {}
    figure.update_xaxes(title=across.replace("_", " "), type="log" if spread else "linear", **ticks)
    figure.update_yaxes(title="US$ a million tokens" if priced else "days to train", rangemode="tozero")
    figure.update_layout(height=440, legend={"orientation": "h", "y": -0.24, "yanchor": "top"})
    return figure
