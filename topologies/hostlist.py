"""Slurm's compressed host lists: ``gpu[0001-0003,0010]`` to names and back, with limits on what is accepted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from topologies.errors import InputError

__all__ = ["MAX_HOSTS", "MAX_TEXT_CHARS", "compress_hosts", "expand_hosts", "is_host_name"]

MAX_HOSTS = 65_533  # Slurm's own limit on nodes in a cluster (MAX_SLURM_NODES is 65,533 in its sources)
MAX_TEXT_CHARS = 1_000_000
_MAX_HOST_CHARS = 255
_MAX_BRACKETS = 4
_MAX_DIGITS = 12

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z", re.ASCII)
_RANGE = re.compile(rf"(\d{{1,{_MAX_DIGITS}}})(?:-(\d{{1,{_MAX_DIGITS}}}))?\Z", re.ASCII)
_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)\Z", re.ASCII | re.DOTALL)


def is_host_name(text: str) -> bool:
    """Whether `text` is a plain host name: letters, digits, dot, dash and underscore, and not too long."""
    return len(text) <= _MAX_HOST_CHARS and _NAME.match(text) is not None


def expand_hosts(text: str, *, where: str = "host list", max_hosts: int = MAX_HOSTS) -> tuple[str, ...]:
    """Expand a compressed host list, keeping its order.

    Parameters
    ----------
    text
        Such as ``gpu[0001-0003,0010],login1`` or ``r[1-2]n[01-18]``; empty and ``(null)`` stand for no host.
    where
        Named in an error.
    max_hosts
        More hosts than this are refused before they are made.

    Raises
    ------
    InputError
        If the text is not a host list, names too many hosts, or names one that is no host name.
    """
    text = text.strip()
    if text in ("", "(null)", "None"):
        return ()
    if len(text) > MAX_TEXT_CHARS:
        raise _refuse(where, f"{len(text)} characters", f"at most {MAX_TEXT_CHARS} characters")
    hosts: list[str] = []
    for item in _split_items(text, where):
        for name in _expand_item(item, where, max_hosts - len(hosts)):
            if not is_host_name(name):
                raise _refuse(where, repr(name[:80]), "letters, digits, '.', '-' and '_' in a host name")
            hosts.append(name)
    return tuple(hosts)


def _refuse(where: str, found: str, allowed: str) -> InputError:
    return InputError(
        what="not a Slurm host list", where=where, found=found, allowed=allowed, fix="write it like gpu[001-004,010]"
    )


def _split_items(text: str, where: str) -> Iterator[str]:
    """Split at commas that are outside brackets."""
    depth, start = 0, 0
    for i, c in enumerate(text):
        if c == "[":
            depth += 1
        elif c == "]":
            depth -= 1
        elif c == "," and depth == 0:
            yield text[start:i]
            start = i + 1
        if depth not in (0, 1):
            raise _refuse(where, repr(text[:80]), "brackets in pairs, not nested")
    if depth:
        raise _refuse(where, repr(text[:80]), "brackets in pairs, not nested")
    yield text[start:]


def _expand_item(item: str, where: str, room: int) -> list[str]:
    """Expand one item, which may hold several brackets; the last bracket runs fastest, as in Slurm."""
    pieces = re.split(r"\[([^\]]*)\]", item)
    if not item or len(pieces) // 2 > _MAX_BRACKETS:
        raise _refuse(where, repr(item[:80]), f"names with at most {_MAX_BRACKETS} brackets")
    choices: list[list[str]] = []
    count = 1
    for i, piece in enumerate(pieces):
        values = [piece] if i % 2 == 0 else _expand_bracket(piece, where, room)
        count *= len(values)
        if count > room:
            raise _refuse(where, f"more than {MAX_HOSTS if room > 0 else 0} hosts", f"at most {MAX_HOSTS} hosts")
        choices.append(values)
    return ["".join(combination) for combination in itertools.product(*choices)]


def _expand_bracket(text: str, where: str, room: int) -> list[str]:
    values: list[str] = []
    for part in text.split(","):
        match = _RANGE.match(part)
        if match is None:
            raise _refuse(where, repr(part[:80]), "numbers and ranges such as 1-4 in brackets")
        first, last = match.group(1), match.group(2) or match.group(1)
        low, high = int(first), int(last)
        if high < low or len(values) + high - low + 1 > room:
            raise _refuse(where, repr(part[:80]), f"ranges that rise and name at most {MAX_HOSTS} hosts in all")
        values += [f"{n:0{len(first)}d}" for n in range(low, high + 1)]
    return values


def compress_hosts(hosts: Iterable[str]) -> str:
    """Compress host names to Slurm's form: sorted by name and number, each once.

    Only the last number of a name is compressed, and numbers join only where their zero padding agrees, so
    ``expand_hosts(compress_hosts(names))`` is the sorted set of the names.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    plain: list[str] = []
    for host in sorted(set(hosts)):
        match = _LAST_NUMBER.match(host)
        if match is None or len(match.group(2)) > _MAX_DIGITS:
            plain.append(host)
        else:
            groups.setdefault((match.group(1), match.group(3)), []).append(match.group(2))
    items = list(plain)
    for (prefix, suffix), numbers in groups.items():
        ranges = _ranges(sorted(numbers, key=lambda digits: (int(digits), len(digits))))
        if len(ranges) == 1 and "-" not in ranges[0]:
            items.append(f"{prefix}{ranges[0]}{suffix}")
        else:
            items.append(f"{prefix}[{','.join(ranges)}]{suffix}")
    return ",".join(sorted(items))


def _ranges(numbers: list[str]) -> list[str]:
    """Join sorted digit strings to ``first-last`` where each next one is the one before plus one, equally padded."""
    ranges: list[str] = []
    first = last = ""
    for digits in numbers:
        if last and int(digits) == int(last) + 1 and f"{int(digits):0{len(first)}d}" == digits:
            last = digits
            continue
        if last:
            ranges.append(first if first == last else f"{first}-{last}")
        first = last = digits
    ranges.append(first if first == last else f"{first}-{last}")
    return ranges
