"""The `validate` engine: suites that hold the models against data other people measured or simulated.

A suite is one file in `planner.validation.suites` and one line in `planner.validation.registry`. It knows the layout
of its files and nothing of particular cases, so any directory with other rows of the same kind can be judged.
"""

from planner.validation.command import validate_command
from planner.validation.datadir import DataDir
from planner.validation.record import Case, Suite, SuiteOutcome, SuiteReport, Target, ValidationReport
from planner.validation.runner import run_suites

__all__ = [
    "Case",
    "DataDir",
    "Suite",
    "SuiteOutcome",
    "SuiteReport",
    "Target",
    "ValidationReport",
    "run_suites",
    "validate_command",
]
