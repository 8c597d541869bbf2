"""Calibrate a fabric by logs of nccl-tests, and set measured times beside predicted ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from planner.collectives.calibration import Fit, Measured, fit_efficiency, prepare
from planner.collectives.definitions import Collective, check_collective
from planner.collectives.efficiency import Efficiency, default_efficiency
from planner.collectives.measured.nccl_tests_log import LoggedTest, read_log
from planner.collectives.measured.ranks import LaidRanks, lay_ranks
from planner.collectives.nccl.constants import ALGORITHM_NAMES, PROTOCOL_NAMES, Algorithm
from topologies.fabric import Fabric

__all__ = ["Calibration", "ComparedRow", "LaidTest", "calibrate", "compare", "read_logs"]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LaidTest:
    """A logged test, and where on the fabric its ranks are taken to be."""

    test: LoggedTest
    ranks: LaidRanks

    @property
    def measured(self) -> Measured:
        """What the fit takes."""
        told = self.test.algorithm.lower()
        forced = next((a for a in Algorithm if ALGORITHM_NAMES[a].lower() == told), None)
        return Measured(
            self.ranks.group,
            self.test.collective,
            [row.size_bytes for row in self.test.rows],
            [row.time_s for row in self.test.rows],
            forced,
            self.test.collnet,
            self.test.where,
        )


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One measured row beside what the model says.

    Attributes
    ----------
    where, collective, num_ranks, num_units
        Of the test.
    size_bytes, measured_s, predicted_s
        Times.
    algorithm, protocol
        That NCCL is taken to have used; the protocol is empty where there is none.
    """

    where: str
    collective: Collective
    num_ranks: int
    num_units: int
    size_bytes: int
    measured_s: float
    predicted_s: float
    algorithm: str
    protocol: str

    @property
    def error_frac(self) -> float:
        """Predicted ÷ measured − 1."""
        return self.predicted_s / self.measured_s - 1


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fabric's fit to its logs.

    Attributes
    ----------
    fit
        The figures and what they leave.
    tests
        What was measured.
    before, after
        Every row with the uncalibrated figures and with the fitted ones.
    logs
        File name to SHA-256.
    left_out
        What of the logs was not used, and why.
    """

    fit: Fit
    tests: tuple[LaidTest, ...]
    before: tuple[ComparedRow, ...]
    after: tuple[ComparedRow, ...]
    logs: dict[str, str]
    left_out: tuple[str, ...]


def read_logs(
    fabric: Fabric, paths: Sequence[str | Path], *, collective: str | None = None, num_ranks: int | None = None
) -> tuple[list[LaidTest], list[str]]:
    """Read logs and lay their tests on a fabric; return those, and what was left out and why.

    Parameters
    ----------
    fabric, paths
        Where, and the logs.
    collective, num_ranks
        For logs that do not say.

    Raises
    ------
    InputError
        As `read_log` and `lay_ranks`.
    """
    op = check_collective(collective) if collective else None
    laid: list[LaidTest] = []
    left_out: list[str] = []
    for path in paths:
        tests, why_not = read_log(path, collective=op, num_ranks=num_ranks)
        laid += [LaidTest(test, lay_ranks(fabric, test)) for test in tests]
        left_out += why_not
    return laid, left_out


def compare(fabric: Fabric, tests: Sequence[LaidTest], efficiency: Efficiency | None = None) -> tuple[ComparedRow, ...]:
    """Return measured beside predicted times of every row."""
    return tuple(_compared(fabric, tests, efficiency or default_efficiency(fabric)))


def _compared(fabric: Fabric, tests: Sequence[LaidTest], efficiency: Efficiency) -> Iterator[ComparedRow]:
    for laid, prepared in zip(tests, prepare(fabric, [laid.measured for laid in tests]), strict=True):
        times = prepared.times_s(efficiency)
        picks = prepared.picks
        for i, (row, time) in enumerate(zip(laid.test.rows, times.tolist(), strict=True)):
            yield ComparedRow(
                laid.test.where,
                laid.test.collective,
                laid.test.num_ranks,
                prepared.group.num_units,
                row.size_bytes,
                row.time_s,
                time,
                "direct" if picks is None else ALGORITHM_NAMES[int(picks.algorithm[0, i])],
                "" if picks is None else PROTOCOL_NAMES[int(picks.protocol[0, i])],
            )


def calibrate(
    fabric: Fabric, paths: Sequence[str | Path], *, collective: str | None = None, num_ranks: int | None = None
) -> Calibration:
    """Fit a fabric's figures to logs.

    Parameters
    ----------
    fabric, paths, collective, num_ranks
        As `read_logs`.

    Raises
    ------
    InputError
        As `read_logs` and `fit_efficiency`: another tool's log, another cluster's, or one that the model does not fit.
    """
    tests, left_out = read_logs(fabric, paths, collective=collective, num_ranks=num_ranks)
    names = ", ".join(Path(path).name for path in paths)
    fit = fit_efficiency(fabric, [laid.measured for laid in tests], source=f"calibrated by {names}")
    return Calibration(
        fit=fit,
        tests=tuple(tests),
        before=compare(fabric, tests),
        after=compare(fabric, tests, fit.efficiency),
        logs={Path(path).name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths},
        left_out=tuple(left_out),
    )
