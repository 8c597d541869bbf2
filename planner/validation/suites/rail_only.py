"""Suite ``rail-only``: what a network for each rail saves against a Clos network, by the bill of both.

``measured/rail_only.csv``: a published figure a row, ``figure`` one of ``network_cost_saved_least``,
``network_cost_saved_most``, ``network_power_saved_least`` and ``network_power_saved_most`` over the sizes and switches
of `topologies.bill.rail_only`. Switches and two transceivers a cable are counted, as the source does; ours have the
prices and powers of the parts catalogue. The counts are the designs' own, so what differs is how much of the whole the
switches make: the case says our share.
"""

from __future__ import annotations

from planner.validation.datadir import DataDir
from planner.validation.record import Case, SuiteOutcome, Target

__all__ = ["SUITE", "RailOnlySuite"]

_FILE = "measured/rail_only.csv"
_FIGURES = tuple(f"network_{what}_saved_{end}" for what in ("cost", "power") for end in ("least", "most"))
_MOST_ERROR_FRAC = 0.10  # two catalogues of list prices


class RailOnlySuite:
    """Rail-only networks against Clos networks."""

    name = "rail-only"
    title = "network cost and power saved by a network for each rail, against the published ranges"
    files = (_FILE,)

    def run(self, data: DataDir) -> SuiteOutcome:
        """Compare every row."""
        from topologies.bill.rail_only import all_rows, rail_only_table, saved_ranges

        rows = all_rows()
        ranges = dict(zip(("cost", "power"), saved_ranges(rows), strict=True))
        cases = []
        for row in data.rows(_FILE, columns=("case_id", "figure", "published_frac")):
            figure = row.choice("figure", _FIGURES)
            _, what, _, end = figure.split("_")
            published, ours = row.number("published_frac"), ranges[what][end == "most"]
            of = next(r for r in rows if ours in (r.price_saved_frac, r.power_saved_frac))
            share = of.switch_price_frac if what == "cost" else of.switch_power_frac
            why = (
                f"{of.accelerators:,} accelerators, {of.radix} ports: switches {of.clos_switches:,} → "
                f"{of.rail_switches:,}, cables {of.clos_cables:,} → {of.rail_cables:,}; with our parts switches make "
                f"{share:.0%} of the {what}"
            )
            cases.append(Case.of_figures(row.text("case_id"), figure, published, ours, "", detail={"why": why}))
        errors = [case.error_frac for case in cases if case.error_frac is not None]
        targets = [Target("saved max_error_frac", max(errors, default=None), _MOST_ERROR_FRAC)]
        notes = [f"{case.name}: {case.detail['why']}" for case in cases]
        return SuiteOutcome(cases, targets, notes, {"table": list(rail_only_table(rows))})


SUITE = RailOnlySuite()
