"""The heartbeat: one small file that says the planner is alive; the Lua parks jobs only while it is fresh."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

__all__ = ["remove_heartbeat", "write_heartbeat", "write_whole"]


def write_whole(path: Path, text: str, *, mode: int = 0o640) -> None:
    """Write a file whole or not at all, with exact permissions.

    Raises
    ------
    OSError
        If it cannot be written; the old file is then still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_heartbeat(path: Path, *, mode: str, park_s: int, now_s: float | None = None) -> None:
    """Say that the planner is alive. Raises OSError when it cannot: the Lua then stops parking by itself."""
    stamp = int(time.time() if now_s is None else now_s)
    write_whole(path, f"scaleplan 1 {stamp} {mode} {park_s}\n", mode=0o640)


def remove_heartbeat(path: Path) -> None:
    """Stop parking at once."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
