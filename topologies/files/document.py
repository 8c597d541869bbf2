"""A loaded file: plain values, and where each of them stands."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from topologies.errors import InputError

__all__ = ["Document", "LocatedDict", "LocatedList", "describe", "key_path_text"]

KeyPath = Sequence[str | int]

_PLAIN_KEY = re.compile(r"^[\w-]+$")
_MAX_FOUND_CHARS = 60


class LocatedDict(dict[str, Any]):
    """A mapping that knows the line of each of its keys."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class LocatedList(list[Any]):
    """A list that knows the line of each of its items."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


@dataclass(frozen=True)
class Document:
    """One loaded file.

    Attributes
    ----------
    name
        The path as the user gave it.
    root
        Dicts with text keys, lists, text, numbers, booleans and None.
    text
        The file's text when lines are looked up in it on demand (JSON); empty when `root` carries its own lines.
    """

    name: str
    root: Any
    text: str = field(default="", repr=False)

    def line(self, key_path: KeyPath = ()) -> int:
        """Return the line of a key or item; for one that is not there, the line of what should hold it."""
        if self.text:
            return _line_in_json(self.text, key_path)
        line, value = 1, self.root
        for key in key_path:
            if isinstance(value, LocatedDict) and isinstance(key, str) and key in value:
                line = value.lines.get(key, line)
                value = value[key]
            elif isinstance(value, LocatedList) and isinstance(key, int) and 0 <= key < len(value):
                line = value.lines[key]
                value = value[key]
            else:
                break
        return line

    def where(self, key_path: KeyPath = ()) -> str:
        """Return ``file:line: key.path`` for a message."""
        place = f"{self.name}:{self.line(key_path)}"
        return f"{place}: {key_path_text(key_path)}" if key_path else place

    def error(
        self, key_path: KeyPath, *, what: str, found: object = "", allowed: object = "", fix: object = ""
    ) -> InputError:
        """Return an error that points at a key of this file; the caller raises it."""
        return InputError(what=what, where=self.where(key_path), found=found, allowed=allowed, fix=fix)


def key_path_text(key_path: KeyPath) -> str:
    """Write a key path as ``links[3].rate_gbps``; keys that are not plain words are quoted."""
    text = ""
    for key in key_path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN_KEY.match(key):
            text += f".{key}" if text else key
        else:
            text += f"[{key!r}]"
    return text


def describe(value: object) -> str:
    """Describe a found value in a few words."""
    if isinstance(value, dict):
        return f"a mapping with {len(value)} keys" if len(value) != 1 else "a mapping with 1 key"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = repr(value)
    shown = shown if len(shown) <= _MAX_FOUND_CHARS else shown[: _MAX_FOUND_CHARS - 1] + "…"
    return f"text {shown}" if isinstance(value, str) else shown


_SPACE = re.compile(r"[ \t\n\r]*")
_SPACE_AND_COMMA = re.compile(r"[ \t\n\r,:]*")


def _line_in_json(text: str, key_path: KeyPath) -> int:
    """Return the line of a key path in JSON text that is known to be well formed."""
    decode = json.JSONDecoder(strict=False).raw_decode
    place = _skip(_SPACE, text, 0)
    found = place
    for wanted in key_path:
        if place >= len(text) or text[place] not in "{[":
            break
        is_object = text[place] == "{"
        place = _skip(_SPACE, text, place + 1)
        index = 0
        while text[place] not in "}]":
            start = place
            key: str | int = index
            if is_object:
                key, place = decode(text, place)
                place = _skip(_SPACE_AND_COMMA, text, place)
            if key == wanted:
                found = start
                break
            _, place = decode(text, place)
            place = _skip(_SPACE_AND_COMMA, text, place)
            index += 1
        else:
            break
    return text.count("\n", 0, found) + 1


def _skip(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return match.end() if match else place
