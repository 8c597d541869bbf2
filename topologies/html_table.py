"""Small HTML tables for notebooks: every text escaped, no style but alignment."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["html_table"]

_MOST_TEXT = 200


def html_table(title: str, rows: Sequence[Sequence[object]], columns: Sequence[str] = ()) -> str:
    """Return a table with a caption; numbers stand to the right, with thousands apart.

    Parameters
    ----------
    title
        Its caption.
    rows
        Cells, text or numbers.
    columns
        Heads; none if left out.
    """
    head = "".join(f"<th>{_text(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f"<table><caption>{_text(title)}</caption>{top}<tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    text = str(value)
    return escape(text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…")


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f'<td style="text-align:left">{_text(value)}</td>'
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f'<td style="text-align:right">{text}</td>'
