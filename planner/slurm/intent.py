"""What a job says it will do, from its comment: ``scaleplan: model=llama3-70b tp=8 pattern=ring``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["Intent", "parse_intent"]

_START = "scaleplan:"
_WORD = re.compile(r"([a-z_]{1,24})=([A-Za-z0-9._-]{1,64})\Z", re.ASCII)
_NUMBERS = ("tp", "pp", "ep", "dp", "cp", "max_leaves")
_PATTERNS = ("ring", "all-to-all")
_MAX_WORDS = 16
_MAX_COMMENT_CHARS = 4096
_MAX_NUMBER = 65_536


@dataclass(frozen=True)
class Intent:
    """Job intent; empty and 0 stand for "not said".

    Parameters
    ----------
    model
        Name of a model of the catalogue.
    tp, pp, ep, dp, cp
        Degrees of parallelism.
    pattern
        ``ring`` or ``all-to-all``.
    max_leaves
        Most leaf switches the job may touch.
    off
        The user asked to be left alone.
    unread
        Words of the comment that were not understood; ``why`` tells how many.
    """

    model: str = ""
    tp: int = 0
    pp: int = 0
    ep: int = 0
    dp: int = 0
    cp: int = 0
    pattern: str = ""
    max_leaves: int = 0
    off: bool = False
    unread: tuple[str, ...] = field(default=())


def parse_intent(comment: str, *, defaults: Mapping[str, Any] | None = None) -> Intent:
    """Read the words after ``scaleplan:`` in a comment; the rest of the comment is the user's own business.

    Parameters
    ----------
    comment
        Text of the user; never trusted, never fails.
    defaults
        Values for what the comment does not say, by field name.
    """
    intent = Intent(**{k: v for k, v in (defaults or {}).items() if v is not None})
    _, found, rest = comment[:_MAX_COMMENT_CHARS].partition(_START)
    if not found:
        return intent
    unread: list[str] = []
    for word in rest.replace(",", " ").replace(";", " ").split()[:_MAX_WORDS]:
        match = _WORD.match(word)
        if word == "off":
            intent = replace(intent, off=True)
        elif match is None:
            unread.append(word[:64])
        elif match.group(1) == "model":
            intent = replace(intent, model=match.group(2))
        elif match.group(1) == "pattern" and match.group(2) in _PATTERNS:
            intent = replace(intent, pattern=match.group(2))
        elif match.group(1) in _NUMBERS and match.group(2).isdigit() and 0 < int(match.group(2)) <= _MAX_NUMBER:
            number: dict[str, Any] = {match.group(1): int(match.group(2))}
            intent = replace(intent, **number)
        else:
            unread.append(word)
    return replace(intent, unread=tuple(unread))
