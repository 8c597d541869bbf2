"""What a suite returns and what a report holds: cases, targets, summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from planner.validation.datadir import DataDir
from topologies.errors import ScaleplanError

__all__ = ["Case", "Suite", "SuiteOutcome", "SuiteReport", "Target", "ValidationReport", "error_line", "quantile"]

# Version of the JSON form; raised when a key changes its meaning or goes away.
SCHEMA = "scaleplan.validate/1"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing compared.

    Attributes
    ----------
    name
        Which row or case of the data this is, readable by itself.
    kind
        Group of cases inside the suite that share a target, for example ``pick``.
    measured, predicted
        The referee's figure and ours, in `unit`; ``None`` where the case is only a choice.
    unit
        Unit of both figures.
    error_frac
        ``|predicted − measured| / measured`` unless the suite says otherwise; ``None`` where there is none.
    agrees
        For a choice: whether it is the same; ``None`` where the case is only a figure.
    counts
        Whether the case enters the suite's summary and targets.
    why_not
        Why it does not.
    detail
        Anything else worth a column.
    """

    name: str
    kind: str
    measured: float | None = None
    predicted: float | None = None
    unit: str = ""
    error_frac: float | None = None
    agrees: bool | None = None
    counts: bool = True
    why_not: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_figures(
        cls,
        name: str,
        kind: str,
        measured: float,
        predicted: float,
        unit: str,
        *,
        counts: bool = True,
        why_not: str = "",
        agrees: bool | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Case:
        """Build a case whose error is ``|predicted − measured| / |measured|``."""
        error = abs(predicted - measured) / abs(measured) if measured else (0.0 if predicted == measured else None)
        return cls(
            name=name,
            kind=kind,
            measured=float(measured),
            predicted=float(predicted),
            unit=unit,
            error_frac=error,
            agrees=agrees,
            counts=counts,
            why_not=why_not,
            detail=detail or {},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the case as plain data, `detail` flattened in."""
        out: dict[str, Any] = {"case": self.name, "kind": self.kind}
        if self.measured is not None or self.predicted is not None:
            out |= {"measured": self.measured, "predicted": self.predicted, "unit": self.unit}
        out["error_frac"] = self.error_frac
        if self.agrees is not None:
            out["agrees"] = self.agrees
        out["counts"] = self.counts
        if self.why_not:
            out["why_not"] = self.why_not
        return out | {key: value for key, value in self.detail.items() if key not in out}


@dataclass(frozen=True, slots=True)
class Target:
    """One figure of a suite and the limit it must keep.

    Attributes
    ----------
    metric
        Name of the figure, for example ``pick time p90_error_frac``.
    value
        What came out; ``None`` when no case bears on it (then the target is not judged).
    limit
        What is allowed.
    op
        Which side of `limit` is good.
    """

    metric: str
    value: float | None
    limit: float
    op: Literal["<=", ">="] = "<="

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; ``None`` when there was nothing to judge."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.op == "<=" else self.value >= self.limit

    def as_dict(self) -> dict[str, Any]:
        """Return the target as plain data."""
        return {"metric": self.metric, "op": self.op, "limit": self.limit, "value": self.value, "met": self.met}


@dataclass(frozen=True, slots=True)
class SuiteOutcome:
    """What a suite hands back: its cases, its targets, and remarks for the reader.

    The runner takes the summary (median, p90, max, agreement) from the cases that count; `summary_kinds`, when given,
    narrows it to those kinds, as where the other kinds have figures of their own in `metrics`.
    """

    cases: Sequence[Case]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    summary_kinds: frozenset[str] | None = None


def error_line(error: Exception) -> str:
    """Return an error in one line: as it says itself where the data are at fault, with its type where we are."""
    return str(error) if isinstance(error, ScaleplanError) else f"a defect of scaleplan: {error!r}"


class Suite(Protocol):
    """A validation suite: an object with a name, the files it needs, and `run`."""

    @property
    def name(self) -> str:
        """Short name, as given to ``--suite``."""

    @property
    def title(self) -> str:
        """What is compared with what, in a few words."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths inside the directory, without ``.gz``, that must all be there."""

    def run(self, data: DataDir) -> SuiteOutcome:
        """Compare every row of the files with the model."""


def quantile(values: Sequence[float], q: float) -> float | None:
    """Return the `q` quantile (linear between order statistics), or ``None`` of nothing."""
    return float(np.quantile(np.asarray(values, dtype=np.float64), q)) if len(values) else None


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """A suite that ran, with its summary."""

    name: str
    title: str
    outcome: SuiteOutcome

    def errors(self) -> list[float]:
        """Errors of the cases in the summary."""
        kinds = self.outcome.summary_kinds
        return [
            case.error_frac
            for case in self.outcome.cases
            if case.counts and case.error_frac is not None and (kinds is None or case.kind in kinds)
        ]

    def agreement_frac(self) -> float | None:
        """Share of the choices that are the same, or ``None`` if the suite has no choices."""
        kinds = self.outcome.summary_kinds
        votes = [
            case.agrees
            for case in self.outcome.cases
            if case.counts and case.agrees is not None and (kinds is None or case.kind in kinds)
        ]
        return sum(votes) / len(votes) if votes else None

    @property
    def met(self) -> bool:
        """Whether no target was missed."""
        return all(target.met is not False for target in self.outcome.targets)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        errors = self.errors()
        out: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "cases": len(self.outcome.cases),
            "cases_in_summary": len(errors),
            "median_error_frac": quantile(errors, 0.5),
            "p90_error_frac": quantile(errors, 0.9),
            "max_error_frac": max(errors, default=None),
        }
        agreement = self.agreement_frac()
        if agreement is not None:
            out["agreement_frac"] = agreement
        return out | {
            "met": self.met,
            "targets": [target.as_dict() for target in self.outcome.targets],
            "metrics": dict(self.outcome.metrics),
            "notes": list(self.outcome.notes),
            "rows": [case.as_dict() for case in self.outcome.cases],
        }


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Every suite that ran, those left out with the files they miss, and those that broke off with the error."""

    directory: str
    suites: Sequence[SuiteReport]
    skipped: Mapping[str, Sequence[str]]
    failed: Mapping[str, Exception] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether every suite came to its end and no target was missed."""
        return not self.failed and all(suite.met for suite in self.suites)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        return {
            "schema": SCHEMA,
            "directory": self.directory,
            "met": self.met,
            "suites": [suite.as_dict() for suite in self.suites],
            "skipped": [{"name": name, "missing": list(missing)} for name, missing in self.skipped.items()],
            "failed": [{"name": name, "error": error_line(error)} for name, error in self.failed.items()],
        }
