"""Names of nodes and hosts: spelled out, or generated from a template so that 100,000 alike names cost nothing."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import numpy as np

from topologies.errors import InputError

__all__ = ["NameTemplate", "Names"]

_DIGITS = re.compile(r"\d+", re.ASCII)


@dataclass(frozen=True)
class NameTemplate:
    """Alike names: ``template`` filled with the mixed-radix digits of a running number.

    Parameters
    ----------
    template
        A format string whose plain fields take whole numbers, such as ``"h{:04d}/gpu{}"``.
    shape
        How many values each field takes; the last field runs fastest.
    start
        The first value of each field, zeros if empty.
    """

    template: str
    shape: tuple[int, ...]
    start: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        fields = [name for _, name, _, _ in string.Formatter().parse(self.template) if name is not None]
        if any(fields) or len(fields) != len(self.shape):
            msg = f"template {self.template!r} needs one plain field for each of the {len(self.shape)} dimensions"
            raise ValueError(msg)

    def __len__(self) -> int:
        return math.prod(self.shape)

    def name(self, idx: int) -> str:
        """Return the name number `idx`."""
        digits = [int(d) for d in np.unravel_index(idx, self.shape)] if self.shape else []
        start = self.start or (0,) * len(digits)
        return self.template.format(*(d + s for d, s in zip(digits, start, strict=True)))

    def idx_of(self, name: str) -> int | None:
        """Return the number of `name`, or None if this template does not make it."""
        match = self._pattern.fullmatch(name)
        if match is None:
            return None
        start = self.start or (0,) * len(self.shape)
        digits = [int(text) - s for text, s in zip(match.groups(), start, strict=True)]
        if any(not 0 <= d < n for d, n in zip(digits, self.shape, strict=True)):
            return None
        idx = int(np.ravel_multi_index(digits, self.shape)) if digits else 0
        return idx if self.name(idx) == name else None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pieces = []
        for literal, name, _, _ in string.Formatter().parse(self.template):
            pieces.append(re.escape(literal))
            if name is not None:
                pieces.append(r"(\d{1,18})")
        return re.compile("".join(pieces), re.ASCII)

    @cached_property
    def skeleton(self) -> str:
        """The names with every run of digits replaced by ``#``: two templates can only clash if theirs are equal."""
        return _DIGITS.sub("#", self.name(0)) if len(self) else ""


@dataclass(frozen=True)
class Names(Sequence[str]):
    """An immutable sequence of unique names, made of blocks.

    Parameters
    ----------
    blocks
        Tuples of names spelled out, and templates, in order.
    """

    blocks: tuple[tuple[str, ...] | NameTemplate, ...] = field(default=())

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """Return names spelled out."""
        return cls((tuple(names),))

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for block in self.blocks:
            starts.append(starts[-1] + len(block))
        return starts

    def __len__(self) -> int:
        return self._starts[-1]

    @overload
    def __getitem__(self, idx: int) -> str: ...
    @overload
    def __getitem__(self, idx: slice) -> list[str]: ...
    def __getitem__(self, idx: int | slice) -> str | list[str]:
        if isinstance(idx, slice):
            return [self[i] for i in range(*idx.indices(len(self)))]
        i = int(idx)
        if i < 0:
            i += len(self)
        if not 0 <= i < len(self):
            msg = f"name number {idx} of {len(self)}"
            raise IndexError(msg)
        block_idx = int(np.searchsorted(self._starts, i, side="right")) - 1
        block = self.blocks[block_idx]
        offset = i - self._starts[block_idx]
        return block.name(offset) if isinstance(block, NameTemplate) else block[offset]

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks:
            if isinstance(block, NameTemplate):
                yield from (block.name(i) for i in range(len(block)))
            else:
                yield from block

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    @cached_property
    def _spelled(self) -> dict[str, int]:
        return {
            name: start + i
            for block, start in zip(self.blocks, self._starts, strict=False)
            if not isinstance(block, NameTemplate)
            for i, name in enumerate(block)
        }

    def find(self, name: str) -> int | None:
        """Return the number of `name`, or None."""
        idx = self._spelled.get(name)
        if idx is not None:
            return idx
        for block, start in zip(self.blocks, self._starts, strict=False):
            if isinstance(block, NameTemplate):
                offset = block.idx_of(name)
                if offset is not None:
                    return start + offset
        return None

    def duplicate(self) -> str | None:
        """Return one name that stands twice, or None if all are unique."""
        spelled = [name for block in self.blocks if not isinstance(block, NameTemplate) for name in block]
        templates = [block for block in self.blocks if isinstance(block, NameTemplate) and len(block)]
        by_skeleton = Counter(t.skeleton for t in templates)
        suspects = [t for t in templates if by_skeleton[t.skeleton] > 1]
        counted = Counter(spelled)
        counted.update(t.name(i) for t in suspects for i in range(len(t)))
        for name, count in counted.items():
            if count > 1:
                return name
        rest = [t for t in templates if by_skeleton[t.skeleton] == 1]
        return next((name for name in counted if any(t.idx_of(name) is not None for t in rest)), None)

    def check_unique(self, what: str) -> None:
        """Refuse names that stand twice.

        Raises
        ------
        InputError
            Naming the first duplicate.
        """
        name = self.duplicate()
        if name is not None:
            raise InputError(
                what=f"two {what} of one name", found=repr(name), allowed="unique names", fix="rename one of them"
            )
