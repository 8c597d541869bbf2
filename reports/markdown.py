"""A page as Markdown: its words and tables, users' text kept from being markup."""

from __future__ import annotations

import re

from reports.models import MODELS, model_errors
from reports.page import Page, Table, cell_text

__all__ = ["render_markdown"]

_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~&])")


def render_markdown(page: Page) -> str:
    """Return the page: the answer, the figures to take along, each section's words and table, how it was made."""
    lines = [f"# {_text(page.title)}", ""]
    for paragraph in page.answer:
        lines += [_text(paragraph), ""]
    if page.tiles:
        lines += [*(f"- {_text(t.label)}: **{_text(t.value)}** {_text(t.note)}".rstrip() for t in page.tiles), ""]
    for block in page.blocks:
        lines += [f"## {_text(block.title)}", ""]
        if block.lead:
            lines += [_text(block.lead), ""]
        if block.table:
            lines += [*_table(block.table), ""]
        if block.notes:
            lines += [*(f"- {_text(note)}" for note in block.notes), ""]
    lines += ["## How it was made", "", f"- command: {_text(page.provenance.command)}"]
    lines += [f"- input {_text(name)}: {_text(value)}" for name, value in page.provenance.inputs.items()]
    lines += [f"- {_text(name)}: {_text(value)}" for name, value in page.made.items()]
    lines += [f"- {_text(name)} {_text(value)}" for name, value in page.provenance.versions.items()]
    for name in dict.fromkeys(name for block in page.blocks for name in block.models):
        told = "; ".join(f"{words} (suite {suite})" for words, suite in model_errors(name))
        lines.append(f"- {_text(MODELS[name].title)}: {_text(MODELS[name].how)} {_text(told)}".rstrip())
    return "\n".join(lines) + "\n"


def _table(table: Table) -> list[str]:
    head = "| " + " | ".join(_text(column) for column in table.columns) + " |"
    rule = "| " + " | ".join("---:" if table.is_number(i) else "---" for i in range(len(table.columns))) + " |"
    rows = ["| " + " | ".join(_text(cell_text(value)) for value in row) + " |" for row in table.rows]
    caption = [_text(table.caption), ""] if table.caption else []
    return [*caption, head, rule, *rows]


def _text(text: str) -> str:
    """Return text on one line with every sign escaped that Markdown or HTML would read."""
    return _SIGNS.sub(r"\\\1", " ".join(text.split()))
