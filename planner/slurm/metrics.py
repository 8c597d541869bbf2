"""Counters and gauges in Prometheus' text format, for node_exporter's textfile collector."""

from __future__ import annotations

__all__ = ["Metrics"]

_HELP = {
    "cycles_total": ("counter", "Cycles run"),
    "cycle_failures_total": ("counter", "Cycles that failed because Slurm or the disk did not answer"),
    "cycle_seconds": ("gauge", "Duration of the last cycle"),
    "plan_seconds": ("gauge", "Time the last plan took"),
    "parked_jobs": ("gauge", "Jobs parked now"),
    "waiting_jobs": ("gauge", "Parked jobs that do not fit now"),
    "pins_total": ("counter", "Jobs pinned or preferred"),
    "repairs_total": ("counter", "Plans that Slurm did not carry out"),
    "released_total": ("counter", "Jobs handed to Slurm without a plan"),
    "ran_as_planned_total": ("counter", "Jobs that ran on exactly their planned hosts"),
    "ran_otherwise_total": ("counter", "Jobs that ran on other hosts than planned"),
    "degraded": ("gauge", "1 while the journal cannot be written and jobs go straight to Slurm"),
    "last_cycle_timestamp_seconds": ("gauge", "When the last whole cycle ended"),
    "refused_connections_total": ("counter", "Connections to the control socket from users without the right"),
}
_PREFIX = "scaleplan_slurm_"


class Metrics:
    """The daemon's figures."""

    def __init__(self) -> None:
        self.values: dict[str, float] = dict.fromkeys(_HELP, 0.0)

    def add(self, name: str, amount: float = 1.0) -> None:
        """Raise a counter."""
        self.values[name] += amount

    def set(self, name: str, value: float) -> None:
        """Set a gauge."""
        self.values[name] = value

    def text(self) -> str:
        """Return all of them in the text format."""
        lines = []
        for name, (kind, words) in _HELP.items():
            lines += [
                f"# HELP {_PREFIX}{name} {words}",
                f"# TYPE {_PREFIX}{name} {kind}",
                f"{_PREFIX}{name} {self.values[name]:.10g}",
            ]
        return "\n".join(lines) + "\n"
