"""Pictures for the documentation, drawn as it is built: one for each fabric file that a page about a kind shows.

A page ``kinds/NAME.md`` with a fence that is titled ``NAME.yaml`` gets ``kinds/NAME.svg``, as
``scaleplan fabric draw NAME.yaml -o NAME.svg`` draws it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_FENCE = re.compile(r'^```yaml title="([\w-]+)\.yaml"\n(.*?)^```$', flags=re.DOTALL | re.MULTILINE)


def fabric_files(page: str) -> dict[str, str]:
    """Return the titled fabric files of a page: name without its ending, and text."""
    return {match[1]: match[2] for match in _FENCE.finditer(page) if "\nkind:" in match[2]}


def picture(text: str, name: str) -> str:
    """Return the picture of a fabric file."""
    from topologies.drawing.picture import fabric_svg
    from topologies.files.fabric_file import fabric_of
    from topologies.files.loading import parse_document

    return fabric_svg(fabric_of(parse_document(text, name)))


def on_files(files: Any, *, config: Any) -> Any:
    """Let mkdocs know the pictures."""
    from mkdocs.structure.files import File

    for path in sorted((Path(config["docs_dir"]) / "kinds").glob("*.md")):
        for name, text in fabric_files(path.read_text(encoding="utf-8")).items():
            files.append(File.generated(config, f"kinds/{name}.svg", content=picture(text, path.name)))
    return files
