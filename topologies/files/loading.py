"""The one door for files a person or a program writes: YAML, or JSON by its suffix."""

from __future__ import annotations

import os
from pathlib import Path

from topologies.files.document import Document

__all__ = ["load_document", "parse_document"]


def load_document(path: str | os.PathLike[str]) -> Document:
    """Load a file: ``*.json`` as JSON, anything else as YAML.

    Raises
    ------
    InputError
        If the file cannot be read or is refused; one line that says where and how to mend it.
    """
    if Path(path).suffix.lower() == ".json":
        from topologies.files.strict_json import load_json

        return load_json(path)
    from topologies.files.strict_yaml import load_yaml

    return load_yaml(path)


def parse_document(text: str, name: str) -> Document:
    """Read text as `load_document` reads a file of that name. Raises as `load_document`."""
    if Path(name).suffix.lower() == ".json":
        from topologies.files.strict_json import parse_json

        return parse_json(text, name)
    from topologies.files.strict_yaml import parse_yaml

    return parse_yaml(text, name)
