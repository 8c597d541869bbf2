"""Every legal way to spread a job over a number of accelerators, and the sizes that a user may pin."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.workloads.machine import Machine
from planner.workloads.training import Mappings, TrainingJob, check_mappings, why_illegal
from topologies.errors import InputError

__all__ = ["Candidates", "all_mappings", "check_mapping", "check_pinned", "parse_pinned"]

_Floats = npt.NDArray[np.float64]

_BLOCK = 65_536
_PINNABLE = ("tp", "cp", "dp", "pp", "ep", "virtual", "micro_batch", "zero")


@dataclass(frozen=True, eq=False)
class Candidates:
    """Which sizes a search tries.

    Attributes
    ----------
    zero_levels
        Sharing of optimizer, gradients and weights: 1, 2 and 3 by default; 0 is never faster in memory that holds it.
    zero_bubble
        Whether schedules that fill the bubble with weight gradients are tried beside 1F1B and interleaved ones.
    most_micro_batch, most_chunks
        Largest micro-batch and number of chunks; whatever divides and whatever the layers allow if ``None``.
    pinned
        Sizes that are given, for example ``{"tp": 8}``.
    """

    zero_levels: tuple[int, ...] = (1, 2, 3)
    zero_bubble: bool = True
    most_micro_batch: int | None = None
    most_chunks: int | None = None
    pinned: tuple[tuple[str, int], ...] = ()


def _divisors(number: int) -> list[int]:
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def all_mappings(job: TrainingJob, num_accelerators: int, candidates: Candidates | None = None) -> Iterator[Mappings]:
    """Yield every legal mapping, in blocks."""
    tried = candidates or Candidates()
    model = job.model
    pinned = dict(tried.pinned)

    def choices(name: str, usual: list[int]) -> npt.NDArray[np.float64]:
        return np.array([pinned[name]] if name in pinned else usual, np.float64)

    ways = _divisors(num_accelerators)
    tp = choices("tp", [d for d in ways if model.heads % d == 0])
    cp = choices("cp", [d for d in ways if d == 1 or job.seq % (2 * d) == 0])
    pp = choices("pp", [d for d in ways if d <= model.layers])
    ep = choices("ep", _divisors(model.experts) if model.experts else [1])
    virtual = choices("virtual", list(range(1, (tried.most_chunks or model.layers) + 1)))
    micro = choices("micro_batch", [b for b in _divisors(job.global_batch) if b <= (tried.most_micro_batch or b)])
    zero = choices("zero", list(tried.zero_levels))
    bubble = np.array([0.0, 1.0]) if tried.zero_bubble else np.zeros(1)
    grids: dict[bytes, list[_Floats]] = {}
    pending: list[list[_Floats]] = []
    rows = 0
    for t, c, p in itertools.product(tp, cp, pp):
        dp, rest = divmod(num_accelerators, int(t * c * p))
        if rest or job.global_batch % dp or ("dp" in pinned and pinned["dp"] != dp):
            continue
        # Chunks that would give the fullest stage more layers than it needs are never tried.
        even = np.ceil(model.layers / (p * virtual)) * virtual == np.ceil(model.layers / p)
        chunks = virtual[(virtual * p <= model.layers) & (even | ("virtual" in pinned))] if p > 1 else virtual[:1]
        key = chunks.tobytes() + bytes([int(p > 1)])
        if key not in grids:
            # Weights or gradients that move for each of many micro-batches do not go with pipelines.
            levels = zero[zero < 2] if p > 1 else zero
            grid = np.meshgrid(ep, chunks, micro, levels, bubble if p > 1 else bubble[:1], indexing="ij")
            grids[key] = [axis.ravel() for axis in grid]
        own = grids[key]
        fixed = [np.full(len(own[0]), value, np.float64) for value in (t, c, dp, p)]
        pending.append([*fixed, *own])
        rows += len(own[0])
        if rows >= _BLOCK:
            yield from _legal(job, num_accelerators, pending)
            pending, rows = [], 0
    yield from _legal(job, num_accelerators, pending)


def _legal(job: TrainingJob, num_accelerators: int, parts: list[list[_Floats]]) -> Iterator[Mappings]:
    """Yield what is legal of some ways, given as columns."""
    if not parts:
        return
    names = ("tp", "cp", "dp", "pp", "ep", "virtual", "micro_batch", "zero", "zero_bubble")
    columns = {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}
    block = Mappings(**columns, recompute_frac=np.full(len(columns["tp"]), np.nan))
    legal = check_mappings(job, block, num_accelerators)
    # ZB-H1 is 1F1B with weight gradients moved; it has one chunk a stage (Qi et al. 2023, section 2).
    legal &= (block.zero_bubble == 0) | (block.virtual == 1)
    if legal.any():
        yield block.take(np.flatnonzero(legal))


def check_mapping(job: TrainingJob, machine: Machine, mapping: Mappings) -> None:
    """Check one mapping that a user gave.

    Raises
    ------
    InputError
        If it is not legal for the job and the machine.
    """
    if not check_mappings(job, mapping, machine.num_accelerators)[0]:
        raise why_illegal(job, mapping.row(0), machine.num_accelerators)


def parse_pinned(text: str) -> tuple[tuple[str, int], ...]:
    """Read ``auto`` or ``tp=8,pp=4``.

    Raises
    ------
    InputError
        If a name is none of a mapping's, or a value no whole number above 0.
    """
    if text.strip() == "auto":
        return ()
    pinned: dict[str, int] = {}
    for item in text.split(","):
        name, _, value = (word.strip() for word in item.partition("="))
        number = int(value[:9]) if value.isascii() and value.isdigit() else -1
        if name not in _PINNABLE or name in pinned or number < (0 if name == "zero" else 1):
            raise InputError(
                what="not a mapping",
                where="--parallelism",
                found=repr(item),
                allowed=f"auto, or name=number of {', '.join(_PINNABLE)}",
            )
        pinned[name] = number
    return tuple(pinned.items())


def check_pinned(job: TrainingJob, machine: Machine, pinned: tuple[tuple[str, int], ...]) -> None:
    """Check a mapping of which tensor, context, data and pipeline parallel sizes are all given.

    Raises
    ------
    InputError
        If it is not legal.
    """
    given = dict(pinned)
    if {"tp", "cp", "dp", "pp"} <= given.keys():
        check_mapping(job, machine, Mappings.of(**given))
