"""What commands print: tables for people on standard output, JSON for programs, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

_FILE_COLUMNS = 140  # in a file or a pipe nothing wraps but long text

__all__ = ["print_json", "print_lines", "print_note", "print_table", "progress_line"]


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    from planner.files.writing import json_text

    sys.stdout.write(json_text(value))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines of text; control characters in them are escaped."""
    for line in lines:
        sys.stdout.write(printable(line) + "\n")


def printable(text: object) -> str:
    """Return text with control characters escaped: names come from users."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table; cells that are numbers are set right, and text from users stays text."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(box=SIMPLE, pad_edge=False)
    for i, column in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[i], int | float) or row[i] in ("", "–") for row in rows)
        table.add_column(Text(column), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = max(console.width, _FILE_COLUMNS)
    if title:
        console.print(Text(printable(title)))
    console.print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return printable(value)


def print_note(text: str) -> None:
    """Print one line for people on standard error."""
    sys.stderr.write(f"scaleplan: {printable(text)}\n")


def progress_line(text: str, *, last: bool = False) -> None:
    """Show where long work stands on standard error: rewritten in place on a terminal, silent elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{printable(text)}" + ("\n" if last else ""))
        sys.stderr.flush()
