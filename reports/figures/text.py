"""Users' text in figures: plotly reads a little HTML in labels, so its signs are made harmless."""

from __future__ import annotations

__all__ = ["label"]


def label(text: str, most: int = 60) -> str:
    """Return user's text, cut to `most` signs and with plotly's markup signs made harmless."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
