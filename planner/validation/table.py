"""The report as text for people: the targets first, the worst rows after."""

from __future__ import annotations

from collections.abc import Iterator

from planner.validation.record import Case, SuiteReport, Target, ValidationReport, error_line

__all__ = ["format_report"]

_NUM_WORST_ROWS = 5


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.3g} %"


def _target_line(target: Target) -> str:
    verdict = {True: "met", False: "MISSED", None: "no case"}[target.met]
    is_fraction = target.metric.endswith("_frac")
    value = _percent(target.value) if is_fraction else ("–" if target.value is None else f"{target.value:.4g}")
    limit = _percent(target.limit) if is_fraction else f"{target.limit:.4g}"
    sign = {"<=": "≤", ">=": "≥"}[target.op]
    return f"  {verdict:7} {target.metric}: {value} (target {sign} {limit})"


def _case_line(case: Case) -> str:
    figures = ""
    if case.measured is not None and case.predicted is not None:
        figures = f"  measured {case.measured:.6g} {case.unit}, predicted {case.predicted:.6g} {case.unit}"
    mark = "" if case.agrees is not False else "  DIFFERENT CHOICE"
    return f"    {_percent(case.error_frac):>9}  {case.name}{figures}{mark}"


def _badness(case: Case) -> tuple[bool, float]:
    return (case.agrees is False, case.error_frac or 0.0)


def _suite_lines(suite: SuiteReport, *, every_row: bool) -> Iterator[str]:
    data = suite.as_dict()
    yield f"{suite.name}: {suite.title}"
    agreement = f", agreement {_percent(data['agreement_frac'])}" if "agreement_frac" in data else ""
    yield (
        f"  {data['cases']} cases ({data['cases_in_summary']} in the summary): "
        f"median {_percent(data['median_error_frac'])}, "
        f"p90 {_percent(data['p90_error_frac'])}, max {_percent(data['max_error_frac'])}{agreement}"
    )
    yield from (_target_line(target) for target in suite.outcome.targets)
    yield from (f"  note: {note}" for note in suite.outcome.notes)
    counted = [case for case in suite.outcome.cases if case.counts]
    worst = sorted(counted, key=_badness, reverse=True)
    shown = worst if every_row else worst[:_NUM_WORST_ROWS]
    if shown:
        yield "  rows:" if every_row else "  worst rows:"
        yield from (_case_line(case) for case in shown)


def format_report(report: ValidationReport, *, every_row: bool = False) -> str:
    """Return the report as text, the bad rows with the good.

    Parameters
    ----------
    report
        What `run_suites` returned.
    every_row
        Print every row in place of the worst five of a suite.
    """
    lines: list[str] = []
    for suite in report.suites:
        lines.extend(_suite_lines(suite, every_row=every_row))
        lines.append("")
    lines.extend(f"skipped {name}: missing {', '.join(missing)}" for name, missing in report.skipped.items())
    lines.extend(f"{name} BROKE OFF: {error_line(error)}" for name, error in report.failed.items())
    missed = sum(target.met is False for suite in report.suites for target in suite.outcome.targets)
    total = sum(target.met is not None for suite in report.suites for target in suite.outcome.targets)
    lines.append(f"{len(report.suites)} suites, {total - missed} of {total} targets met")
    return "\n".join(lines)
