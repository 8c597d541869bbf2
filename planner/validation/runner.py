"""Run the suites whose files lie in a directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from planner.validation.datadir import DataDir
from planner.validation.record import SuiteReport, ValidationReport, error_line
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
        The suites that ran, in the order asked for; those left out with the files they miss; and those that broke off,
        with the error. One suite that breaks off does not keep the others from being judged.

    Raises
    ------
    InputError
        If the directory is none, a suite is unknown, no suite has its files, or the only ones that have broke off at a
        malformed file.
    """
    path = Path(directory)
    if not path.is_dir():
        raise InputError(what="no such directory", where=path, fix="give a directory that holds validation data")
    data = DataDir(path)
    wanted = list(dict.fromkeys(SUITES if names is None else names))
    suites = [load_suite(name) for name in wanted]
    reports: list[SuiteReport] = []
    skipped: dict[str, Sequence[str]] = {}
    failed: dict[str, Exception] = {}
    for suite in suites:
        missing = data.missing(suite.files)
        if missing:
            skipped[suite.name] = missing
            say(f"skipped {suite.name}: {path} has no {', no '.join(missing)}")
            continue
        say(f"running {suite.name}: {suite.title}")
        try:
            reports.append(SuiteReport(suite.name, suite.title, suite.run(data)))
        except Exception as error:
            failed[suite.name] = error
            say(f"{suite.name} broke off: {error_line(error)}")
    if failed and not reports:
        raise next(iter(failed.values()))
    if not reports:
        wants = "; ".join(f"{name} needs {', '.join(missing)}" for name, missing in skipped.items())
        raise InputError(what="no suite has its files here", where=path, allowed=wants or "at least one suite")
    return ValidationReport(str(path), tuple(reports), skipped, failed)
