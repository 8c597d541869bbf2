"""Log lines as JSON, one a line, for journald and log collectors. No text of users and no secret goes in."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, TextIO

__all__ = ["JsonLog"]

_MAX_TEXT_CHARS = 2000


class JsonLog:
    """Writes events; a stream that cannot be written to (disk full) is not an error.

    Parameters
    ----------
    stream
        Standard error if not given.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def write(self, event: str, **fields: Any) -> None:
        """Write one event with its fields."""
        stream = self._stream or sys.stderr
        record = {"time": round(time.time(), 3), "event": event} | {key: _plain(value) for key, value in fields.items()}
        try:
            stream.write(json.dumps(record, ensure_ascii=True) + "\n")
            stream.flush()
        except (OSError, ValueError):
            return


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)[:_MAX_TEXT_CHARS]
