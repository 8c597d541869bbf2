"""A training step by its parts, stacked: what computes, what communicates, what waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.text import label
from reports.palette import HATCH_OVERLAY, HATCHES, JOBS

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["PARTS", "step_parts_figure"]

PARTS: Mapping[str, str] = {
    "compute_s": "compute",
    "recompute_s": "recompute",
    "tp_s": "tensor parallel",
    "cp_s": "context parallel",
    "ep_s": "expert parallel",
    "pp_s": "pipeline send",
    "dp_s": "data parallel",
    "bubble_s": "pipeline bubble",
    "optimizer_s": "optimizer",
}
"""Key of a step's part → what it is called; communication is what overlap leaves of it."""
_SHOWN_FRAC = 0.001


def step_parts_figure(cells: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return a bar a design and size of one workload, stacked by the parts of the step, in seconds.

    A part has the same colour and hatch in every such figure; one below a thousandth of every step is left out.
    """
    import plotly.graph_objects as go

    own = list(cells)[::-1]
    many_sizes = len({cell["accelerators"] for cell in own}) > 1
    names = [label(str(cell["design"]), 24) + (f" × {cell['accelerators']:,}" if many_sizes else "") for cell in own]
    figure = go.Figure()
    for number, (key, part) in enumerate(PARTS.items()):
        seconds = [float(cell["parts_s"].get(key, 0.0)) for cell in own]
        share = [s / sum(cell["parts_s"].values()) for s, cell in zip(seconds, own, strict=True)]
        if max(share, default=0.0) <= _SHOWN_FRAC:
            continue
        figure.add_bar(
            y=names,
            x=seconds,
            customdata=[100 * s for s in share],
            orientation="h",
            name=part,
            marker={
                "color": JOBS[number % len(JOBS)],
                "pattern": {"shape": HATCHES[number % len(HATCHES)], **HATCH_OVERLAY},
            },
            hovertemplate="%{y}: %{x:.3g} s, %{customdata:.1f} % of the step<extra>" + part + "</extra>",
        )
    figure.update_xaxes(title="seconds a step", nticks=6)
    figure.update_layout(
        barmode="stack",
        bargap=0.35,
        height=210 + 40 * len(own),
        showlegend=True,
        legend={"orientation": "h", "traceorder": "normal", "y": 1.02, "yanchor": "bottom"},
    )
    return figure
