"""Opens a trace: finds out its format, reads it a row at a time."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from planner.traces.formats import COLUMNS, ROW_READERS, philly_jobs, swf_jobs
from planner.traces.mending import Mender, check_columns
from planner.traces.trace import StreamedJobs, Trace, TraceJob
from topologies.errors import InputError

__all__ = ["FORMATS", "open_text", "read_trace", "stream_trace"]

_KEPT_JOBS = 1_000_000
FORMATS = (*ROW_READERS, "swf", "philly")


def read_trace(path: str | Path, *, format: str | None = None, kept: int = _KEPT_JOBS) -> Trace:
    """Read a trace; its time begins at 0 with the first submission.

    Parameters
    ----------
    path
        The file, plain or ``.gz``.
    format
        One of `FORMATS`; found out from name and header if left out.
    kept
        From so many jobs on the trace is not kept in memory but read anew, a row at a time, if it is in order; if it is
        not, it has to be sorted and is kept.

    Raises
    ------
    InputError
        If the file cannot be read, its format is not known, columns are missing, or no row can be used.
    """
    mend = Mender()
    jobs: list[TraceJob] = []
    count, zero, last, is_sorted = 0, math.inf, -math.inf, True
    for job in stream_trace(path, mend, format=format):
        count += 1
        is_sorted &= job.submit_s >= last
        zero, last = min(zero, job.submit_s), max(last, job.submit_s)
        jobs.append(job)
        if count == kept:
            jobs.clear()
        elif count > kept:
            jobs.pop()
    counted = mend.finish()
    if count >= kept:
        if not is_sorted:
            jobs = list(stream_trace(path, Mender(), format=format))  # there is no sorting without all of them
        else:
            counted["rows read a row at a time, twice: too many to keep"] = count

            def read() -> Iterator[TraceJob]:
                for job in stream_trace(path, Mender(), format=format):
                    yield replace(job, submit_s=job.submit_s - zero)

            return Trace(StreamedJobs(read, count, last - zero), counted, Path(path).name)
    if not jobs:
        told = "; ".join(f"{what}: {count}" for what, count in counted.items()) or "no rows"
        raise InputError(what="a trace without usable jobs", where=path, found=told)
    trace = Trace.of(jobs, mended=counted, source=Path(path).name)
    moved = tuple(replace(job, submit_s=job.submit_s - zero) for job in trace.jobs) if zero else trace.jobs
    return Trace(moved, trace.mended, trace.source)


def stream_trace(path: str | Path, mend: Mender, *, format: str | None = None) -> Iterator[TraceJob]:
    """Yield the jobs of a trace as they stand, a row at a time; `mend` counts what had to be mended.

    Raises
    ------
    InputError
        As `read_trace`.
    """
    if format is not None and format not in FORMATS:
        raise InputError(what="no such trace format", where="--format", found=repr(format), allowed=", ".join(FORMATS))
    path = Path(path)
    try:
        with open_text(path) as lines:
            name = path.name.removesuffix(".gz")
            if format == "swf" or (format is None and name.endswith(".swf")):
                yield from swf_jobs(mend, lines)
            elif format == "philly" or (format is None and name.endswith(".json")):
                yield from _philly(path, lines, mend)
            else:
                yield from _rows(path, lines, mend, format)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(what="cannot read the trace", where=path, found=error) from error


def open_text(path: Path) -> TextIO:
    """Open a text file, plain or ``.gz``, a byte-order mark or not."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _philly(path: Path, lines: TextIO, mend: Mender) -> Iterator[TraceJob]:
    try:
        document = json.load(lines)
    except (ValueError, RecursionError) as error:
        raise InputError(what="not JSON", where=path, found=error) from error
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise InputError(what="not a Philly job log", where=path, allowed="a list of jobs")
    yield from philly_jobs(mend, document)


def _rows(path: Path, lines: TextIO, mend: Mender, format: str | None) -> Iterator[TraceJob]:
    first = lines.readline()
    separator = "|" if first.count("|") > first.count(",") else ","
    header = next(csv.reader([first], delimiter=separator), [])
    if format is None:
        format = next((name for name, wanted in COLUMNS.items() if all(c in header for c in wanted)), None)
        if format is None:
            known = "; ".join(f"{name}: {', '.join(columns)}" for name, columns in COLUMNS.items())
            raise InputError(
                what="the format of the trace is not known",
                where=f"{path}:1",
                found=first.strip()[:120],
                allowed=known,
                fix="give --format, or name the columns so",
            )
    check_columns(header, COLUMNS[format], str(path))
    read = ROW_READERS[format]
    for number, cells in enumerate(csv.reader(lines, delimiter=separator), 2):
        if not cells:
            continue
        if len(cells) != len(header):
            mend.counted["left out: a row with more or fewer fields than the header"] += 1
            continue
        job = read(mend, number, dict(zip(header, cells, strict=True)))
        if job is not None:
            yield job
