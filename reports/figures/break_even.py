"""What a larger scale-up domain is worth: the premium that it breaks even at, by its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.text import label
from reports.palette import series_style

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["break_even_figure", "premium_by_domain"]

_REFERENCE = 8
"""Accelerators in the domain that larger ones are held against: a host of eight."""


def premium_by_domain(cell: Mapping[str, Any]) -> tuple[list[int], list[float]]:
    """Return domain sizes, and the step time with a domain of 8 over that with each, less 1.

    So much more may an accelerator-hour cost with that domain, for the same price a token.
    """
    steps = {int(size): float(time) for size, time in cell["domain"]["step_s_by_domain"].items()}
    base = steps.get(_REFERENCE) or steps[max(size for size in steps if size <= _REFERENCE)]
    return list(steps), [base / time - 1 for time in steps.values()]


def break_even_figure(cells: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return the break-even premium against domain size, a line a design and workload; a ring marks the own domain."""
    import plotly.graph_objects as go

    figure = go.Figure()
    sizes: set[int] = set()
    for number, cell in enumerate(cells):
        size, premium = premium_by_domain(cell)
        sizes.update(size)
        name = f"{label(str(cell['design']), 24)}, {label(str(cell['workload']), 24)}"
        style = series_style(number)
        style["marker"]["size"] = 6
        figure.add_scatter(
            x=size,
            y=[100 * p for p in premium],
            mode="lines+markers",
            name=name,
            hovertemplate="a domain of %{x} is worth %{y:.1f} % more than one of 8<extra>" + name + "</extra>",
            **style,
        )
        own = int(cell["used_of_domain"])
        if own in size:
            figure.add_scatter(
                x=[own],
                y=[100 * premium[size.index(own)]],
                mode="markers",
                marker={"symbol": "circle-open", "size": 16, "color": style["line"]["color"], "line": {"width": 2.5}},
                hovertemplate=f"the domain that {name} uses: %{{x}}<extra></extra>",
                showlegend=False,
            )
    marks = sorted(sizes & {2**k for k in range(11)}) or sorted(sizes)
    figure.add_hline(y=0, line={"color": "#7d8b99", "width": 1.2})
    figure.update_xaxes(
        title="accelerators in a scale-up domain", type="log", tickvals=marks, ticktext=[str(m) for m in marks]
    )
    figure.update_yaxes(title="premium it is worth", ticksuffix=" %")
    figure.update_layout(height=420, legend={"orientation": "h", "y": -0.24, "yanchor": "top"})
    return figure
