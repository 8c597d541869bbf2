"""The structure of a page as text: what stands where, without the figures themselves."""

from collections.abc import Iterator

from reports.page import Page


def structure(page: Page) -> str:
    """Return eyebrow, tiles, and of each section its title, pictures, columns of its table, files and models."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"{page.eyebrow}: {len(page.answer)} paragraphs"
    yield "tiles: " + "; ".join(tile.label for tile in page.tiles)
    for block in page.blocks:
        yield f"[{block.id}] {block.title}"
        if block.explorer:
            yield f"  explorer of {len(block.explorer_views)} placements"
        pictures = [("figure", block.figure)] if block.figure is not None else []
        for what, figure in [*pictures, *((f"panel {i}", panel.figure) for i, panel in enumerate(block.panels, 1))]:
            kinds = sorted({trace.type for trace in figure.data})
            axes = " by ".join(str(axis.title.text) for axis in (figure.layout.yaxis, figure.layout.xaxis))
            yield f"  {what}: {', '.join(kinds)}; {axes}"
        if block.table is not None:
            yield "  table: " + " | ".join(map(str, block.table.columns))
        yield from (f"  file: {file.file_name}" for file in block.downloads)
        if block.models:
            yield "  model: " + ", ".join(block.models)
