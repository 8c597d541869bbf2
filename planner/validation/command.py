"""The body of ``scaleplan validate``: run, print, and say by the exit code whether the targets were met."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from planner.validation.runner import run_suites
from planner.validation.table import format_report
from topologies.errors import InputError

__all__ = ["validate_command"]


def _to_stderr(message: str) -> None:
    sys.stderr.write(message + "\n")


def validate_command(
    directory: str | Path, suites: Sequence[str] | None = None, *, as_json: bool = False, every_row: bool = False
) -> int:
    """Run the suites, print the report on standard output and what was left out on standard error.

    Parameters
    ----------
    directory
        The data.
    suites
        Suite names; all when ``None``.
    as_json
        Print the JSON form.
    every_row
        In the text form print every row.

    Returns
    -------
    int
        0 when every target that could be judged was met, 1 when one was missed or a suite broke off, 2 when one broke
        off at a malformed file.

    Raises
    ------
    InputError
        As `run_suites`.
    """
    report = run_suites(directory, suites, say=_to_stderr)
    if as_json:
        text = json.dumps(report.as_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    else:
        text = format_report(report, every_row=every_row)
    sys.stdout.write(text + "\n")
    if any(isinstance(error, InputError) for error in report.failed.values()):
        return InputError.exit_code
    return 0 if report.met else 1
