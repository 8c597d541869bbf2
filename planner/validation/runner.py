"""Run the suites whose files lie in a directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from planner.validation.datadir import DataDir
from planner.validation.record import SuiteReport, ValidationReport
from planner.validation.registry import SUITES, load_suite
from topologies.errors import InputError

__all__ = ["run_suites"]


def _silent(message: str) -> None:
    """Say nothing."""


def run_suites(
    directory: str | Path, names: Sequence[str] | None = None, *, say: Callable[[str], None] = _silent
) -> ValidationReport:
    """Run validation suites on the data of a directory.

    Parameters
    ----------
    directory
        Holds the suites' folders (``astra/``, ``nccl/``…) with the documented file and column names.
    names
        Which suites; all when ``None``.
    say
        Called with a line for people when a suite starts or is left out.

    Returns
    -------
    ValidationReport
        The suites that ran, in the order asked for, and those left out with the files they miss.

    Raises
    ------
    InputError
        If the directory is none, a suite is unknown, a data file is malformed, or no suite has its files.
    """
    path = Path(directory)
    if not path.is_dir():
        raise InputError(what="no such directory", where=path, fix="give a directory that holds validation data")
    data = DataDir(path)
    wanted = list(dict.fromkeys(SUITES if names is None else names))
    suites = [load_suite(name) for name in wanted]
    reports: list[SuiteReport] = []
    skipped: dict[str, Sequence[str]] = {}
    for suite in suites:
        missing = data.missing(suite.files)
        if missing:
            skipped[suite.name] = missing
            say(f"skipped {suite.name}: {path} has no {', no '.join(missing)}")
            continue
        say(f"running {suite.name}: {suite.title}")
        reports.append(SuiteReport(suite.name, suite.title, suite.run(data)))
    if not reports:
        wants = "; ".join(f"{name} needs {', '.join(missing)}" for name, missing in skipped.items())
        raise InputError(what="no suite has its files here", where=path, allowed=wants or "at least one suite")
    return ValidationReport(str(path), tuple(reports), skipped)
