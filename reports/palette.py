"""One palette for all pictures: told apart by people of any colour vision, and never the only sign.

Colours of jobs are Okabe and Ito's (Color Universal Design, 2008); heat runs through five steps of cividis
(Nuñez, Anderton & Renslow, PLOS ONE 2018).
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "DASHES",
    "FREE",
    "HATCHES",
    "HATCH_OVERLAY",
    "HEAT",
    "HEAT_EDGES",
    "HEAT_NAMES",
    "JOBS",
    "SYMBOLS",
    "UNAVAILABLE",
    "heat_step",
    "series_style",
]

JOBS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D1F", "#5B4B8A", "#2F6B4F", "#B04A5A")
INKS = ("#FFFFFF",) + ("#101820",) * 5 + ("#FFFFFF",) * 4
"""Text on each colour of `JOBS`, at 4.5 to 1 or more (WCAG 2.2, 1.4.3)."""
FREE = "#DDE3EA"
UNAVAILABLE = "#8A94A0"
HEAT = ("#C3CFDC", "#6F8FB8", "#C8A83A", "#D97A22", "#B3200F")
HEAT_NAMES = ("up to 25 %", "up to 50 %", "up to 80 %", "up to 100 %", "above 100 %: fought over")
HEAT_EDGES = (0.25, 0.5, 0.8, 1.0)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "pentagon")
HATCHES = ("", "/", "\\", "x", "-", "|", "+", ".")
"""Plotly's names of dashes, marker symbols and bar patterns: the second sign beside colour."""
HATCH_OVERLAY = {"fillmode": "overlay", "fgcolor": "#101820", "fgopacity": 0.45, "size": 7, "solidity": 0.25}


def heat_step(load_frac: float) -> int:
    """Return the step of `HEAT` for a link's demand over its capacity; the last one is above 1: fought over."""
    return sum(load_frac > edge + 1e-9 for edge in HEAT_EDGES)


def series_style(number: int) -> dict[str, Any]:
    """Return `line` and `marker` of a numbered series: colour, dash and symbol, so that colour is never alone."""
    color = JOBS[number % len(JOBS)]
    return {
        "line": {"color": color, "dash": DASHES[number % len(DASHES)], "width": 2.5},
        "marker": {"color": color, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8},
    }
