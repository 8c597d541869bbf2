"""The menu of the documentation: the pages and folders that mkdocs.yml orders, then every other page."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Let mkdocs know the menu before it looks for pages."""
    docs = Path(config["docs_dir"])
    pages = sorted(str(path.relative_to(docs)) for path in docs.rglob("*.md"))
    config["nav"] = menu(pages, config["extra"]["menu"])
    return config


def menu(pages: list[str], order: list[str | dict[str, str]]) -> list[str | dict[str, list[str]]]:
    """Return the entries of `order` that exist (a page, or ``{title: folder/}`` for all its pages), then the rest."""
    found: list[str | dict[str, list[str]]] = []
    left = list(pages)
    for entry in order:
        title, name = next(iter(entry.items())) if isinstance(entry, dict) else ("", entry)
        named = [page for page in left if (page.startswith(name) if title else page == name)]
        if named:
            found += [{title: named}] if title else named
        left = [page for page in left if page not in named]
    return found + left
