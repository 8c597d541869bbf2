"""The menu of the documentation: the pages that mkdocs.yml orders, then every other one."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Let mkdocs know the menu before it looks for pages."""
    docs = Path(config["docs_dir"])
    pages = sorted(str(path.relative_to(docs)) for path in docs.rglob("*.md"))
    order = config["extra"]["menu"]
    ordered = [page for page in order if page in pages]
    config["nav"] = ordered + [page for page in pages if page not in order]
    return config
