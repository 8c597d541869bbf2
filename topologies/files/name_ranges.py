"""Alike names in short: ``h[0000-0007,0012]/nic[0-3]`` stands for 36 names, the last range running fastest."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from topologies.files.validated import RuleError

__all__ = ["MAX_NAMES", "expand_names"]

MAX_NAMES = 1_000_000
"""Most names one expression may stand for."""

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)
_ALLOWED = "names, with ranges of numbers in brackets as in h[0000-0007,0012]"


def expand_names(text: str) -> list[str]:
    """Return the names that `text` stands for.

    Raises
    ------
    RuleError
        If brackets do not hold ranges of numbers, or the names are too many.
    """
    pieces = _BRACKETS.split(text)
    literals, ranges = pieces[0::2], [_numbers(text, piece) for piece in pieces[1::2]]
    if any(set(literal) & {"[", "]"} for literal in literals):
        raise RuleError(what="brackets that do not match", found=text, allowed=_ALLOWED)
    count = 1
    for numbers in ranges:
        count *= len(numbers)
        if count > MAX_NAMES:
            raise RuleError(what="too many names", found=text, allowed=f"at most {MAX_NAMES}", fix="split the entry")
    if not ranges:
        return [text]
    return list(_joined(literals, ranges))


def _joined(literals: list[str], ranges: list[list[str]]) -> Iterator[str]:
    for numbers in itertools.product(*ranges):
        name = literals[0]
        for number, literal in zip(numbers, literals[1:], strict=True):
            name += number + literal
        yield name


def _numbers(text: str, listed: str) -> list[str]:
    numbers: list[str] = []
    for piece in listed.split(","):
        match = _RANGE.fullmatch(piece.strip())
        first, last = (match.group(1), match.group(2) or match.group(1)) if match else ("1", "0")
        if int(last) < int(first):
            raise RuleError(what="not a range of numbers", found=f"[{listed}] in {text}", allowed=_ALLOWED)
        if int(last) - int(first) >= MAX_NAMES:
            raise RuleError(what="too many names", found=text, allowed=f"at most {MAX_NAMES}", fix="split the entry")
        numbers += [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    return numbers
