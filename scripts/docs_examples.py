"""Example reports for the documentation, made as it is built: see ``scripts/examples.py``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any


def on_files(files: Any, *, config: Any) -> Any:
    """Let mkdocs know the reports."""
    from mkdocs.structure.files import File

    sys.path.insert(0, str(Path(__file__).parent))
    try:
        from examples import make_examples
    finally:
        sys.path.pop(0)
    with tempfile.TemporaryDirectory(prefix="scaleplan-examples-") as folder:
        for path in make_examples(Path(folder)):
            files.append(File.generated(config, f"examples/{path.name}", content=path.read_bytes()))
    return files
