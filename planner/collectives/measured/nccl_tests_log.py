"""Read what nccl-tests (or rccl-tests) printed: text logs of any version with the ``size count type`` table.

Columns are found by the names in the header, so that versions with other ones (``error`` for ``#wrong``, no root, no
operation, per-iteration times, a time stamp) read the same. Every row is checked against itself: algbw is size over
time, and busbw is algbw times the factor of the collective and its ranks, as ``doc/PERFORMANCE.md`` of nccl-tests
defines them. A log that fails this is not one of this tool, or not of this many ranks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from planner.collectives.definitions import Collective, busbw_factor
from planner.collectives.measured.log_tables import LoggedRank, LogTable, TableRow, program_in, read_tables
from topologies.errors import InputError
from topologies.units import from_us, to_gb_per_s

__all__ = ["LogRow", "LoggedTest", "read_log"]

_COLLECTIVES: Final[MappingProxyType[str, Collective]] = MappingProxyType(
    {
        "all_reduce": "all-reduce",
        "all_gather": "all-gather",
        "reduce_scatter": "reduce-scatter",
        "alltoall": "all-to-all",
        "sendrecv": "send-recv",
        "broadcast": "broadcast",
        "reduce": "reduce",
    }
)
# Groups beyond this are not inferred from the ratio of two printed figures.
_MAX_INFERRED_RANKS = 4096
# Printed figures were rounded from others than the ones printed: a little more than half a digit is let pass.
_ROUNDING = 1.1
# A collective is inferred from rates of more than this: below it their digits say too little.
_LEAST_GB_PER_S = 1.0


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row: a size, and the time it took out of place, or in place where out of place was not measured.

    Attributes
    ----------
    line, size_bytes, time_s, algbw_gb_per_s, busbw_gb_per_s
        As printed, the time in seconds.
    ratio_slack
        How far rounding may put busbw ÷ algbw off.
    """

    line: int
    size_bytes: int
    time_s: float
    algbw_gb_per_s: float
    busbw_gb_per_s: float
    ratio_slack: float


@dataclass(frozen=True, slots=True)
class LoggedTest:
    """One test of a log.

    Attributes
    ----------
    where
        File and line of its table.
    collective
        Which.
    num_ranks
        How many took part.
    ranks
        Those the log names, in rank order; empty if it names none.
    rows
        Those that can be used, as printed.
    left_out
        Why others were not used.
    version
        Of NCCL, as printed; empty if it is not.
    algorithm
        That NCCL was told to take; empty if its own choice was left to it.
    collnet
        Whether it was told to reduce in the network.
    """

    where: str
    collective: Collective
    num_ranks: int
    ranks: tuple[LoggedRank, ...]
    rows: tuple[LogRow, ...]
    left_out: tuple[str, ...]
    version: str
    algorithm: str = ""
    collnet: bool = False

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of its hosts, in the order of their first ranks."""
        return tuple(dict.fromkeys(rank.host for rank in self.ranks))


def read_log(
    path: str | Path, *, collective: Collective | None = None, num_ranks: int | None = None
) -> tuple[tuple[LoggedTest, ...], tuple[str, ...]]:
    """Return the tests of a log, and what of it was left out and why.

    Parameters
    ----------
    path
        A text file.
    collective
        The only one wanted; and the one of tests that do not say which they are.
    num_ranks
        How many took part, for logs that do not name the ranks.

    Raises
    ------
    InputError
        If the file cannot be read, is of another tool, contradicts itself, or leaves nothing to use.
    """
    path = Path(path)
    tables = list(read_tables(path))
    if not tables:
        raise InputError(
            what="not a log of nccl-tests",
            where=str(path),
            found="no table headed size, count, type … time, algbw, busbw",
            allowed="what all_reduce_perf and its sisters print",
        )
    tests: list[LoggedTest] = []
    left_out: list[str] = []
    for table in tables:
        where = f"{path}:{table.line}"
        test, why_not = _test(table, where, program_in(path.name), collective, num_ranks)
        left_out += [f"{where}: {text}" for text in why_not]
        if test:
            tests.append(test)
    if not tests:
        raise InputError(
            what="the log has no row that can be used",
            where=str(path),
            found="; ".join(left_out[:3]) or "a table without rows",
            allowed="rows of a collective over two ranks or more",
        )
    return tuple(tests), tuple(left_out)


def _test(
    table: LogTable, where: str, program: str, wanted: Collective | None, told_ranks: int | None
) -> tuple[LoggedTest | None, list[str]]:
    """Return a test, or why there is none; and what was left out of it."""
    program = table.program or program
    if program and program not in _COLLECTIVES:
        return None, [f"{program}_perf is not modelled"]
    if "cputime" in table.columns:
        return None, ["it shows the processor's time (-C), not the collective's"]
    if len(table.groups) > 1:
        return None, [f"{len(table.groups)} groups ran at once, so that none had the network for itself"]
    if len(table.ranks) == 1:
        return None, ["one rank alone; was nccl-tests built without MPI?"]
    left_out = list(table.left_out)
    rows = []
    for row in table.rows:
        taken, why_not = _row(table, row)
        if taken:
            rows.append(taken)
        else:
            left_out.append(f"line {row.line}: {why_not}")
    _check_rows(len(rows), left_out, where)
    if not rows:
        return None, left_out or ["a table without rows"]
    collective = _COLLECTIVES[program] if program else wanted or _guess(table, where)
    if wanted not in (None, collective):
        return None, [f"it is of {collective}"]
    ranks = tuple(table.ranks[rank] for rank in sorted(table.ranks))
    count = _num_ranks(rows, ranks, collective, where, told_ranks)
    test = LoggedTest(
        where=where,
        collective=collective,
        num_ranks=count,
        ranks=ranks,
        rows=tuple(rows),
        left_out=tuple(left_out),
        version=table.version,
        algorithm=table.settings.get("NCCL_ALGO", ""),
        collnet=table.settings.get("NCCL_COLLNET_ENABLE", "0") == "1",
    )
    return test, left_out


def _sets(table: LogTable, row: TableRow) -> list[tuple[str, str, str, float]]:
    """Return time, algbw and busbw as printed, and the number of wrong values, out of place and then in place."""
    columns = table.columns[3 + table.num_names :]
    found = []
    for place in (i for i, name in enumerate(columns) if name == "time"):
        time, algbw, busbw = row.numbers[place : place + 3]
        is_counted = columns[place + 3 : place + 4] == ("#wrong",)
        found.append((time, algbw, busbw, _value(row.numbers[place + 3]) if is_counted else math.nan))
    return found


def _value(word: str) -> float:
    return math.nan if word.upper() == "N/A" else float(word.rstrip("*"))


def _half_digit(word: str) -> float:
    """Return half of the last digit of a printed number."""
    mantissa, _, exponent = word.lower().rstrip("*").partition("e")
    return 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def _row(table: LogTable, row: TableRow) -> tuple[LogRow | None, str]:
    """Return what a row measured, or why it cannot be used."""
    for time_word, algbw_word, busbw_word, wrong in _sets(table, row):
        time_us, algbw, busbw = _value(time_word), _value(algbw_word), _value(busbw_word)
        if not (math.isfinite(time_us) and time_us > 0 and math.isfinite(algbw) and math.isfinite(busbw)):
            continue
        if row.size_bytes == 0:
            return None, "no bytes"
        expected = to_gb_per_s(row.size_bytes / from_us(time_us))
        slack = _half_digit(algbw_word) + expected * _half_digit(time_word) / time_us
        if wrong > 0:
            return None, f"{wrong:g} values were wrong"
        if abs(expected - algbw) > _ROUNDING * slack + 1e-3 * expected:
            return None, f"{algbw_word} GB/s is not {row.size_bytes} B in {time_word} us"
        off = _half_digit(busbw_word) + _half_digit(algbw_word) * (busbw / algbw if algbw else math.inf)
        ratio_slack = _ROUNDING * off / algbw if algbw else math.inf
        return LogRow(row.line, row.size_bytes, from_us(time_us), algbw, busbw, ratio_slack), ""
    return None, "no time was measured"


def _check_rows(num_good: int, left_out: Sequence[str], where: str) -> None:
    odd = [text for text in left_out if "GB/s is not" in text]
    if len(odd) > num_good:
        raise InputError(
            what="the table contradicts itself, so it is not one of nccl-tests",
            where=where,
            found=odd[0],
            allowed="algbw = size ÷ time",
        )


def _guess(table: LogTable, where: str) -> Collective:
    """Tell the collective from its operation, its root, and whether busbw is above algbw.

    Raises
    ------
    InputError
        If they do not tell.
    """
    for row in reversed(table.rows):
        named = dict(zip(table.columns[3:], row.names, strict=False))
        algbw, busbw = (_value(word) for word in _sets(table, row)[0][1:3])
        if not algbw > _LEAST_GB_PER_S or named.get("redop") in (None, "none") or named.get("root", "-1") != "-1":
            continue
        if busbw > 1.02 * algbw:
            return "all-reduce"
        if busbw < 0.98 * algbw:
            return "reduce-scatter"
    raise InputError(
        what="the log does not say which collective ran",
        where=where,
        allowed=", ".join(f"{program}_perf" for program in _COLLECTIVES),
        fix="name it with --op",
    )


def _num_ranks(
    rows: Sequence[LogRow], ranks: Sequence[LoggedRank], collective: Collective, where: str, told: int | None
) -> int:
    """Return the number of ranks, checked against busbw ÷ algbw.

    Raises
    ------
    InputError
        If they contradict each other, or nothing tells.
    """
    row = max(rows, key=lambda r: r.algbw_gb_per_s)
    ratio = row.busbw_gb_per_s / row.algbw_gb_per_s if row.algbw_gb_per_s else math.nan
    slack = row.ratio_slack
    named = max((rank.rank for rank in ranks), default=-1) + 1
    if told and named and told != named:
        raise InputError(what="the log is of another number of ranks", where=where, found=named, allowed=told)
    count = told or named
    if not count:
        return _count_by_ratio(ratio, slack, collective, where)
    factor = float(busbw_factor(collective, count))
    if count < 2 or abs(factor - ratio) > slack:
        raise InputError(
            what="busbw is not that of so many ranks",
            where=where,
            found=f"busbw ÷ algbw = {ratio:.4g}",
            allowed=f"{factor:.4g} for {collective} over {count} ranks",
            fix="give the log of one whole run, and name its collective with --op",
        )
    return count


def _count_by_ratio(ratio: float, slack: float, collective: Collective, where: str) -> int:
    counts: list[int] = []
    if collective not in ("broadcast", "reduce", "send-recv") and math.isfinite(slack):
        counts = [
            n for n in range(2, _MAX_INFERRED_RANKS + 1) if abs(float(busbw_factor(collective, n)) - ratio) <= slack
        ]
    if len(counts) != 1:
        raise InputError(
            what="the log does not say how many ranks took part",
            where=where,
            found="no lines of the form Rank … on … device",
            allowed=f"{counts[0]} to {counts[-1]} by busbw ÷ algbw" if counts else "",
            fix="say it with --gpus",
        )
    return counts[0]
