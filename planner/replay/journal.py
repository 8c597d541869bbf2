"""A journal of a replay's costly decisions, so that one that was interrupted goes on where it stood.

A replay is the same each time but for what solvers find in the time they have. Their answers and the scores of
congestion are written down as they come, one a line; a replay that is started again with the same journal takes them
from there, which costs next to nothing, and goes on by itself after the last.
"""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any, TextIO

from topologies.errors import InputError, OutputError

__all__ = ["Journal"]

_SCHEMA = "scaleplan/replay-journal/1"


class Journal:
    """Decisions in the order in which they were made.

    Parameters
    ----------
    path
        The file; it is made if it is not there.
    of
        What the replay is of: a journal of anything else is refused.

    Raises
    ------
    InputError
        If the file is no journal, or of another replay.
    OutputError
        If it cannot be written.
    """

    def __init__(self, path: str | Path, of: str) -> None:
        self._path = Path(path)
        self._known: deque[tuple[str, Any]] = deque()
        head = json.dumps({"schema": _SCHEMA, "of": of})
        try:
            text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(what="cannot read the journal", where=path, found=error) from error
        whole = text[: text.rfind("\n") + 1]  # the last line may have been cut off
        lines = whole.splitlines()
        if lines and lines[0] != head:
            raise InputError(
                what="the journal is of another replay",
                where=path,
                fix="give the same fabric, trace, policies and options, or another file",
            )
        for number, line in enumerate(lines[1:], 2):
            try:
                kind, value = json.loads(line)
            except (ValueError, TypeError) as error:
                raise InputError(what="not a journal of a replay", where=f"{path}:{number}", found=error) from error
            self._known.append((str(kind), value))
        self.num_known = len(self._known)
        try:
            self._file: TextIO = self._path.open("w", encoding="utf-8")
            self._file.write(whole or head + "\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(what="cannot write the journal", where=path, found=error) from error

    def known(self, kind: str) -> Any:
        """Return the next decision, or None if it is still to be made.

        Raises
        ------
        InputError
            If the journal has another kind of decision there.
        """
        if not self._known:
            return None
        told, value = self._known.popleft()
        if told != kind:
            raise InputError(what="the journal does not fit the replay", where=self._path, found=told, allowed=kind)
        return value

    def add(self, kind: str, value: Any) -> None:
        """Write a decision down.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        try:
            self._file.write(json.dumps([kind, value], separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(what="cannot write the journal", where=self._path, found=error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
