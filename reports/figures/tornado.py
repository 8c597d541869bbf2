"""What a decision hangs on: how far each assumption moves the price of the first choice over the second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.figures.text import label

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["ASSUMPTIONS", "tornado_figure"]

ASSUMPTIONS: Mapping[str, str] = {
    "power_usd_per_kwh": "price of power",
    "accelerator_mtbf_h": "time between failures",
    "restart_s": "time to restart",
    "checkpoint_s": "time to write a checkpoint",
    "repair_h": "time to repair",
    "depreciation_years": "years until written off",
    "host_price_frac": "price of a host beside its accelerators",
    "leaf_mtbf_h": "time between failures of a leaf switch",
    "rack_mtbf_h": "time between failures of a rack",
}
"""Key of an assumption → what it is called; others are told as they are."""
_TURNS, _HOLDS, _LINE = "#D55E00", "#0072B2", "#7d8b99"


def tornado_figure(bars: Sequence[Mapping[str, Any]], base: float) -> go.Figure:
    """Return a bar an assumption, from the lowest to the highest price ratio, the widest on top.

    A bar that crosses 1 turns the decision over; it is hatched.

    Parameters
    ----------
    bars
        ``what``, ``low`` and ``high`` of each.
    base
        The ratio with every assumption as it is.
    """
    import plotly.graph_objects as go

    rows = list(bars)[::-1]
    turns = [float(bar["low"]) < 1 < float(bar["high"]) for bar in rows]
    low, high = [float(bar["low"]) for bar in rows], [float(bar["high"]) for bar in rows]
    figure = go.Figure()
    figure.add_bar(
        y=[label(ASSUMPTIONS.get(bar["what"], str(bar["what"])), 44) for bar in rows],
        x=[max(h - v, 0.0) for v, h in zip(low, high, strict=True)],
        base=low,
        orientation="h",
        marker={
            "color": [_TURNS if t else _HOLDS for t in turns],
            "pattern": {"shape": ["/" if t else "" for t in turns], "fillmode": "overlay", "fgcolor": "#101820"},
        },
        customdata=[[v, h] for v, h in zip(low, high, strict=True)],
        hovertemplate="%{y}: from %{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>",
        showlegend=False,
    )
    figure.add_vline(x=1, line={"color": _LINE, "width": 2, "dash": "dash"})
    figure.add_annotation(x=1, y=1, yref="paper", yanchor="bottom", text="1: even", showarrow=False)
    figure.add_vline(x=base, line={"color": _LINE, "width": 1.5})
    figure.add_annotation(x=base, y=1, yref="paper", yanchor="bottom", text=f"as assumed: {base:.2f}", showarrow=False)
    reach = [*low, *high, 1.0, base]
    margin = 0.08 * (max(reach) - min(reach))
    figure.update_xaxes(title="price of the first over the second", range=[min(reach) - margin, max(reach) + margin])
    figure.update_layout(height=130 + 34 * len(rows), bargap=0.4)
    return figure
