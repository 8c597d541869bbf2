"""Traces of requests to models: Azure's and Mooncake's as published, and tables of seconds and tokens."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from planner.traces.mending import Mender
from planner.traces.reading import open_text
from planner.workloads.request_trace import Requests
from topologies.errors import InputError

__all__ = ["REQUEST_FORMATS", "ReadRequests", "read_requests"]

_BLOCK_TOKENS = 512  # of Mooncake's prefix blocks
_Row = tuple[float | None, float | None, float | None, float]


@dataclass(frozen=True, eq=False)
class ReadRequests:
    """Requests, their time from the first on, and what had to be mended → how often."""

    requests: Requests
    mended: Mapping[str, int]


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if number == number and abs(number) < 1e15 else None


def _table(mend: Mender, lines: TextIO, time: str, prompt: str, output: str) -> Iterator[_Row]:
    for cells in csv.DictReader(lines):
        hit = (_number(cells.get("prefix_hit_blocks") or 0) or 0.0) * _BLOCK_TOKENS
        yield mend.time(cells.get(time) or ""), _number(cells.get(prompt)), _number(cells.get(output)), hit


def _azure(mend: Mender, lines: TextIO) -> Iterator[_Row]:
    return _table(mend, lines, "TIMESTAMP", "ContextTokens", "GeneratedTokens")


def _requests(mend: Mender, lines: TextIO) -> Iterator[_Row]:
    return _table(mend, lines, "t_s", "prompt_tokens", "output_tokens")


def _mooncake(mend: Mender, lines: TextIO) -> Iterator[_Row]:
    """Yield requests; a leading block was seen before if the same hash stood at the same place of a prompt."""
    seen: set[int] = set()
    for line in lines:
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            blocks = [int(block) for block in entry.get("hash_ids") or ()]
        except (ValueError, TypeError, AttributeError, RecursionError):
            yield None, None, None, 0.0
            continue
        hits = next((k for k, block in enumerate(blocks) if block not in seen), len(blocks))
        seen.update(blocks)
        at_ms = _number(entry.get("timestamp"))
        prompt = _number(entry.get("input_length"))
        cached = min(hits * _BLOCK_TOKENS, prompt or 0.0)
        yield None if at_ms is None else at_ms / 1000, prompt, _number(entry.get("output_length")), float(cached)


REQUEST_FORMATS: Mapping[str, Callable[[Mender, TextIO], Iterator[_Row]]] = {
    "requests": _requests,
    "azure": _azure,
    "mooncake": _mooncake,
}
"""Format → reader. ``azure``: TIMESTAMP, ContextTokens, GeneratedTokens. ``mooncake``: JSON lines with timestamp in
milliseconds, input_length, output_length, hash_ids. ``requests``: t_s, prompt_tokens, output_tokens, and
prefix_hit_blocks."""


def read_requests(path: str | Path, *, format: str | None = None) -> ReadRequests:
    """Read a trace of requests; its format is found out from the first line if left out.

    A request without a time, without a prompt, or with a negative figure is left out and counted; requests out of order
    are sorted and counted.

    Raises
    ------
    InputError
        If the file cannot be read, its format is not known, or no request can be used.
    """
    if format is not None and format not in REQUEST_FORMATS:
        raise InputError(what="no such request format", found=repr(format), allowed=", ".join(REQUEST_FORMATS))
    mend, rows = Mender(), []
    try:
        with open_text(Path(path)) as lines:
            if format is None:
                format = _format_of(lines.readline(), path)
                lines.seek(0)
            for time, prompt, output, cached in REQUEST_FORMATS[format](mend, lines):
                if time is None or prompt is None or output is None or prompt < 1 or output < 0:
                    mend.counted["left out: a request without time, prompt or output"] += 1
                else:
                    rows.append((time, prompt, output, min(max(cached, 0.0), prompt)))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(what="cannot read the requests", where=path, found=error) from error
    if not rows:
        raise InputError(what="a trace without usable requests", where=path, found=dict(mend.counted) or "no rows")
    table = np.array(rows)
    backwards = int((np.diff(table[:, 0]) < 0).sum())
    if backwards:
        mend.counted["requests out of order: sorted by arrival"] = backwards
        table = table[np.argsort(table[:, 0], kind="stable")]
    return ReadRequests(
        Requests(table[:, 0] - table[0, 0], *(np.ascontiguousarray(table[:, k]) for k in (1, 2, 3))),
        dict(mend.counted),
    )


def _format_of(first: str, path: str | Path) -> str:
    if first.lstrip().startswith("{"):
        return "mooncake"
    if "ContextTokens" in first:
        return "azure"
    if "prompt_tokens" in first:
        return "requests"
    raise InputError(
        what="the format of the requests is not known",
        where=f"{path}:1",
        found=first.strip()[:120],
        allowed="Azure's or Mooncake's files, or columns t_s, prompt_tokens, output_tokens",
    )
