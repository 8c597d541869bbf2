"""Reads results that ``--json`` printed, to set them side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from topologies.errors import InputError

__all__ = ["load_results"]

_MOST_BYTES = 1_000_000_000
_PREFIX = "scaleplan/"


def load_results(paths: Sequence[str | os.PathLike[str]]) -> tuple[tuple[str, ...], tuple[Mapping[str, Any], ...]]:
    """Return a name and the document of each file; files of one name are told apart by their folders.

    Raises
    ------
    InputError
        If a file cannot be read, is no result of scaleplan, or is of another kind than the first.
    """
    documents: list[Mapping[str, Any]] = []
    for path in map(Path, paths):
        documents.append(_document(path))
        kinds = [document["schema"] for document in documents]
        if kinds[-1] != kinds[0]:
            raise InputError(
                what="results of different kinds cannot be compared", where=path, found=kinds[-1], allowed=kinds[0]
            )
    stems = [Path(path).stem for path in paths]
    whole = len(set(stems)) < len(stems)
    return tuple(str(p) for p in paths) if whole else tuple(stems), tuple(documents)


def _document(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(what="too large a result", where=path, found=path.stat().st_size, allowed=_MOST_BYTES)
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(what="cannot read the result", where=path, found=error.strerror or error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(what="not JSON", where=path, found=str(error)[:200], fix="give what --json printed") from error
    if not isinstance(found, dict) or not str(found.get("schema", "")).startswith(_PREFIX):
        raise InputError(what="not a result of scaleplan", where=path, allowed='"schema": "scaleplan/…"')
    return found
