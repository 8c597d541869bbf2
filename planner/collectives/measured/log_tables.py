"""Cut a log of nccl-tests into its tables: who took part, the columns, and the rows as words.

What launchers put before lines (``[1,0]<stdout>:``, ``0:``) is passed over, and so are NCCL's own messages between
the lines; a row that such a message cut in two is put together again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from topologies.errors import InputError

__all__ = ["LogTable", "LoggedRank", "TableRow", "is_number", "program_in", "read_tables"]

_MAX_LOG_BYTES = 256 * 2**20
# What mpirun, srun, Ray and mail put before a line.
_PREFIX = re.compile(r"^\s*(?:\([^()]*\)\s*)?(?:\[[\d,]+\]<std(?:out|err)>:|\d+:\s|>\s)")
_PROGRAM = re.compile(
    r"(?<![a-z])(all_reduce|all_gather|reduce_scatter|alltoallv?|sendrecv|broadcast|reduce|scatter|gather|hypercube)_perf"
)
_RANK = re.compile(
    r"#\s+Rank\s+(\d+)(?:\s+Group\s+(\d+))?\s+Pid\s+\d+\s+on\s+(\S+)\s+device\s+(\d+)\s+\[([^\]]*)\]\s*(.*)"
)
_BEGIN = re.compile(r"#\s+(?:nThread\s+\d+\s+nGpus\s+\d+\s+minBytes\s|Collective test starting)")
_HEADER = re.compile(r"#\s+(size\s+count\s+type\s.*?\b(?:cpu)?time\s+algbw\s+busbw\b.*)")
_UNITS = re.compile(r"#\s+\((\w+)\)\s+\(elements\)\s+(\(.*)")
_ROW = re.compile(r"(?<![\w.-])(\d+)\s+(\d+)\s+([a-z][a-z0-9_]*)\s+(.*)")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\*?|N/A|-?nan|-?inf", re.IGNORECASE)
# Variables of NCCL that change what it runs, as a command or NCCL's own message shows them.
_SETTING = re.compile(r"\b(NCCL_ALGO|NCCL_COLLNET_ENABLE)(?:=| set by environment to )[\"']?([A-Za-z0-9]+)")
_VERSION = re.compile(r"nccl-library=(\d+)|\b(?:NCCL|RCCL) version\s*:?\s*(\d\S*)")


@dataclass(frozen=True, slots=True)
class LoggedRank:
    """One rank as the log names it.

    Attributes
    ----------
    rank, host, device
        As printed.
    bus_id
        PCI address, as printed.
    model
        Name of the accelerator.
    """

    rank: int
    host: str
    device: int
    bus_id: str
    model: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row.

    Attributes
    ----------
    line
        Of the file.
    size_bytes
        First column.
    names
        Words of the columns between ``type`` and ``time``: operation, root.
    numbers
        Words of the columns from ``time`` on.
    """

    line: int
    size_bytes: int
    names: tuple[str, ...]
    numbers: tuple[str, ...]


@dataclass(slots=True)
class LogTable:
    """One table of a log.

    Attributes
    ----------
    line
        Of its header.
    columns
        Names, as the header has them.
    program
        Which test, as far as lines before the header tell; empty if they do not.
    ranks
        By number.
    groups
        Numbers of the communicators that ran at once.
    rows
        Whole ones.
    left_out
        Why others were not taken.
    version
        Of the library; empty if it is not printed.
    settings
        Variables that NCCL was told to go by.
    """

    line: int = 0
    columns: tuple[str, ...] = ()
    program: str = ""
    ranks: dict[int, LoggedRank] = field(default_factory=dict)
    groups: set[int] = field(default_factory=set)
    rows: list[TableRow] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    version: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def num_names(self) -> int:
        """Columns between ``type`` and the first time."""
        return next(i for i, name in enumerate(self.columns) if name.endswith("time")) - 3

    @property
    def num_numbers(self) -> int:
        """Columns from the first time on, but for a time stamp."""
        return len(self.columns) - 3 - self.num_names - (self.columns[-1] == "timestamp")


def is_number(word: str) -> bool:
    """Return whether a word stands for a number, or for one that was not measured."""
    return _NUMBER.fullmatch(word) is not None


def program_in(text: str) -> str:
    """Return which of nccl-tests' programs a text names, without ``_perf``; empty if none."""
    found = _PROGRAM.search(text)
    return found.group(1) if found else ""


def read_tables(path: Path) -> Iterator[LogTable]:
    """Yield the tables of a log.

    Raises
    ------
    InputError
        If the file cannot be read, or a table has other units than nccl-tests prints.
    """
    table, cut, version = LogTable(), _Cut(), ""
    for number, raw in enumerate(_text(path).split("\n"), start=1):
        line = _PREFIX.sub("", raw)
        rank, header, units = _RANK.search(line), _HEADER.search(line), _UNITS.search(line)
        if table.columns and (rank or header or _BEGIN.search(line)):
            cut.close(table)
            yield table
            # Ranks and programs are printed once a run; a second table of a run has the same.
            table = (
                LogTable(program=table.program, ranks=table.ranks, groups=table.groups, settings=table.settings)
                if header
                else LogTable()
            )
        if rank:
            _add_rank(table, rank, number)
        elif header:
            table.columns, table.line, table.version = tuple(header.group(1).split()), number, version
        elif units and table.columns:
            _check_units(f"{path}:{number}", units)
        elif table.columns and not line.lstrip().startswith("#"):
            cut.take(table, number, line)
        table.settings.update(_SETTING.findall(line))
        if not table.columns:
            table.program = program_in(line) or table.program
        if found := _VERSION.search(line):
            version = next(group for group in found.groups() if group)
    if table.columns:
        cut.close(table)
        yield table


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_LOG_BYTES:
            allowed = f"up to {_MAX_LOG_BYTES // 2**20} MiB"
            raise InputError(what="the log is too large", where=str(path), allowed=allowed)
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(what="cannot read the log", where=str(path), found=error.strerror or error) from None


def _add_rank(table: LogTable, found: re.Match[str], line: int) -> None:
    number = int(found.group(1))
    rank = LoggedRank(number, found.group(3), int(found.group(4)), found.group(5), found.group(6).strip())
    if number in table.ranks:
        # Built without MPI, every process believes that it is alone.
        table.left_out.append(f"line {line}: rank {number} stands twice; was nccl-tests built without MPI?")
    table.groups.add(int(found.group(2) or 0))
    table.ranks[number] = rank


def _check_units(where: str, found: re.Match[str]) -> None:
    units = set(re.findall(r"\(([^)]*)\)", found.group(2)))
    if found.group(1) != "B" or not {"us", "GB/s"} <= units:
        raise InputError(
            what="the table has other units than nccl-tests prints",
            where=where,
            found=f"({found.group(1)}) {found.group(2).strip()}",
            allowed="(B), (us) and (GB/s)",
        )


@dataclass(slots=True)
class _Cut:
    """A row that is not whole yet."""

    line: int = 0
    size_bytes: int = 0
    words: list[str] = field(default_factory=list)
    is_open: bool = False

    def take(self, table: LogTable, number: int, line: str) -> None:
        """Begin a row, or go on with one."""
        if found := _ROW.search(line):
            self.close(table)
            self.line, self.size_bytes, self.is_open = number, int(found.group(1)), True
            self.words = self._sound(table, found.group(4).split(), [])
        elif self.is_open:
            more = line.split()
            if more and all(is_number(word) for word in more):
                self.words = self._sound(table, more, self.words)
        if self.is_open and len(self.words) == table.num_names + table.num_numbers:
            names, numbers = self.words[: table.num_names], self.words[table.num_names :]
            table.rows.append(TableRow(self.line, self.size_bytes, tuple(names), tuple(numbers)))
            self.is_open = False

    def close(self, table: LogTable) -> None:
        """Give up a row that was not finished."""
        if self.is_open:
            table.left_out.append(f"line {self.line}: the row is cut off")
            self.is_open = False

    @staticmethod
    def _sound(table: LogTable, words: list[str], begun: list[str]) -> list[str]:
        """Return the words so far, up to where other output broke in, and no more than the columns."""
        kept = list(begun)
        for word in words[: table.num_names + table.num_numbers - len(begun)]:
            if len(kept) >= table.num_names and not is_number(word):
                break
            kept.append(word)
        return kept
