"""The frame of every page: one file, plotly's bundle once, no network, user text escaped."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from planner.report import Provenance
from reports.models import MODELS, model_errors
from reports.palette import INKS, JOBS

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Block", "Download", "Page", "Panel", "Table", "Tile", "cell_text", "render_page", "script_json"]


@dataclass(frozen=True)
class Table:
    """A table; cells are text or numbers, whatever they hold is shown as text.

    Attributes
    ----------
    first_is_answer
        True if the first row is the answer that the others stand beside.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    first_is_answer: bool = False

    def is_number(self, column: int) -> bool:
        """Return whether a column is set to the right: it starts with a number or a short text that begins with one."""
        value = self.rows[0][column] if self.rows else ""
        if isinstance(value, str):
            return len(value) < 12 and (value[:1].isdigit() or value == "–")
        return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class Tile:
    """One figure that a reader should take along."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """One of several pictures side by side: its title, the picture, and in words what it shows."""

    title: str
    figure: go.Figure
    alt: str


@dataclass(frozen=True)
class Download:
    """A file that travels inside the page, packed, and is saved by a button.

    Attributes
    ----------
    file_name, label
        Name of the file, and what the button says.
    text
        What is in it.
    """

    file_name: str
    label: str
    text: str

    @property
    def packed(self) -> str:
        """Base64 of the gzipped text."""
        return base64.b64encode(gzip.compress(self.text.encode(), 6, mtime=0)).decode("ascii")


@dataclass(frozen=True)
class Block:
    """One section of a page.

    Attributes
    ----------
    id, title, lead, short
        Anchor, heading, a sentence below it, and the heading's short form for the contents.
    figure
        The picture, if there is one; `alt` says in words what it shows.
    panels
        Several pictures instead, side by side where there is room.
    explorer, explorer_views
        Data of `reports.explorer`, and the names of the placements in it.
    table
        The figures; folded away below a picture.
    downloads
        Files to take along.
    models
        What reckoned the figures, by the names of `reports.models`: their errors are told below the picture.
    """

    id: str
    title: str
    lead: str = ""
    figure: go.Figure | None = None
    alt: str = ""
    table: Table | None = None
    notes: Sequence[str] = field(default_factory=tuple)
    explorer: str = ""
    explorer_views: Sequence[str] = ()
    short: str = ""
    panels: Sequence[Panel] = ()
    downloads: Sequence[Download] = ()
    models: Sequence[str] = ()


def script_json(value: str) -> str:
    """Return JSON text that is safe inside a script element: no ``<``, ``>``, ``&`` or line separators."""
    for sign in "<>&\u2028\u2029":
        value = value.replace(sign, f"\\u{ord(sign):04x}")
    return value


def cell_text(value: object) -> str:
    """Return a cell of a table as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"
    return str(value)


@dataclass(frozen=True)
class Page:
    """A page before it is HTML or Markdown.

    Attributes
    ----------
    eyebrow, title, answer, tiles
        What kind of page this is, its heading, the answer in words, and the figures to take along.
    blocks
        The sections.
    made
        Further facts on how it was made, beside the provenance.
    """

    title: str
    answer: Sequence[str]
    blocks: Sequence[Block]
    provenance: Provenance
    eyebrow: str = ""
    tiles: Sequence[Tile] = ()
    made: Mapping[str, str] = field(default_factory=dict)


def render_page(page: Page) -> str:
    """Return the page as HTML: the answer first, then the blocks, then how it was made."""
    import jinja2
    from plotly.offline import get_plotlyjs

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports", "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["cell"] = cell_text
    environment.filters["script_json"] = script_json
    figures = {}
    models = list(dict.fromkeys(name for block in page.blocks for name in block.models))
    for block in page.blocks:
        if block.figure is not None:
            figures[block.id] = _figure_json(block.figure)
        figures |= {f"{block.id}-{i}": _figure_json(panel.figure) for i, panel in enumerate(block.panels, start=1)}
    text: str = environment.get_template("page.html").render(
        page=page,
        figures=figures,
        models={name: (MODELS[name], model_errors(name)) for name in models},
        palette=json.dumps({"jobs": JOBS, "inks": INKS}),
        plotly=get_plotlyjs() if figures else "",
    )
    return text.lstrip()


def _figure_json(figure: go.Figure) -> str:
    """Return a figure as JSON for a script element, without the template that repeats plotly's defaults."""
    figure.update_layout(
        template="none",
        margin={"l": 60, "r": 20, "t": 24, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    text: str | None = figure.to_json()
    parsed: Any = json.loads(text or "{}")
    return script_json(json.dumps(parsed, ensure_ascii=False, separators=(",", ":")))
