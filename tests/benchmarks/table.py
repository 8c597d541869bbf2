"""A table of measurements: our figure, the reference's, their ratio, the target, and whether it was met."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Row", "Table"]


@dataclass(frozen=True)
class Row:
    """One measured case.

    Parameters
    ----------
    case
        What was measured.
    ours, unit
        Our figure and its unit.
    against, reference
        What it is compared with, and its figure in the same unit; None if there is nothing to compare with.
    more_is_better
        Whether a larger figure is the better one.
    at_most, at_least
        Targets for our own figure.
    times_at_least
        Target for how many times better we are than the reference.
    """

    case: str
    ours: float
    unit: str = "s"
    against: str = ""
    reference: float | None = None
    more_is_better: bool = False
    at_most: float | None = None
    at_least: float | None = None
    times_at_least: float | None = None

    @property
    def times_better(self) -> float | None:
        """How many times better ours is than the reference; None without one."""
        if self.reference is None:
            return None
        better, worse = (self.ours, self.reference) if self.more_is_better else (self.reference, self.ours)
        return better / worse if worse else float("inf")

    @property
    def target(self) -> str:
        """The targets in words."""
        parts = [
            f"{sign} {bound:g} {unit}"
            for sign, bound, unit in (
                ("≤", self.at_most, self.unit),
                ("≥", self.at_least, self.unit),
                ("≥", self.times_at_least, "×"),
            )
            if bound is not None
        ]
        return ", ".join(parts)

    @property
    def met(self) -> bool | None:
        """Whether every target is met; None without a target."""
        if not self.target:
            return None
        times = self.times_better
        return (
            (self.at_most is None or self.ours <= self.at_most)
            and (self.at_least is None or self.ours >= self.at_least)
            and (self.times_at_least is None or (times is not None and times >= self.times_at_least))
        )


@dataclass
class Table:
    """The rows of one benchmark."""

    rows: list[Row] = field(default_factory=list)

    def add(self, case: str, ours: float, **more: object) -> Row:
        """Add a row; see `Row` for the words."""
        row = Row(case, float(ours), **more)  # type: ignore[arg-type]
        self.rows.append(row)
        return row

    def text(self) -> str:
        """Lay the rows out in columns."""
        head = ["case", "ours", "against", "reference", "times better", "target", "met"]
        lines = [head]
        for row in self.rows:
            lines.append(
                [
                    row.case,
                    f"{_figure(row.ours)} {row.unit}",
                    row.against,
                    "" if row.reference is None else f"{_figure(row.reference)} {row.unit}",
                    "" if row.times_better is None else f"{_figure(row.times_better)} ×",
                    row.target,
                    {None: "", True: "yes", False: "MISSED"}[row.met],
                ]
            )
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if column in (1, 3, 4) else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


def _figure(value: float) -> str:
    """Three digits that count, without an exponent where a person would write none."""
    if value == 0 or not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    digits = max(0, 2 - int(f"{value:e}".split("e")[1]))
    return f"{value:,.{digits}f}"
