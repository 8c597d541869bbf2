"""Runs cycles of the planner on a Slurm in memory, as the daemon does, without files or clocks."""

from __future__ import annotations

from planner.slurm.batch import BatchPlanner
from planner.slurm.cycle import CycleOutcome, CyclePlanner
from planner.slurm.journal import LIVE_STATES, Decision, TrackedJob
from planner.slurm.renewal import renew
from planner.slurm.settings import SlurmSettings
from planner.slurm.updates import send_updates
from tests.planner.slurm.fake_slurm import FakeSlurm


class Driver:
    def __init__(self, slurm: FakeSlurm, *, planner: BatchPlanner | None = None, **settings: object) -> None:
        self.slurm = slurm
        values = {"mode": "pin", "park_s": slurm.park_s, "start_grace_s": 10} | settings
        self.planner = CyclePlanner(SlurmSettings(**values), planner, daemon_start_s=slurm.now_s)  # type: ignore[arg-type]
        self.live: dict[str, TrackedJob] = {}
        self.decisions: list[Decision] = []

    def cycle(self, *, send: bool = True, renewing: bool = True) -> CycleOutcome:
        snapshot = self.slurm.snapshot(self.live)
        if renewing:
            lines, snapshot = renew(snapshot, self.live, self.planner.settings, ahead_s=1.0)
            send_updates(self.slurm, lines)
        outcome = self.planner.run(snapshot, self.live)
        for ref, job in outcome.tracked.items():
            self.live.pop(ref, None)
            if job.state in LIVE_STATES:
                self.live[ref] = job
        self.decisions += outcome.decisions
        if send:
            send_updates(self.slurm, outcome.lines)
        return outcome

    def turn(self, seconds: float = 1.0, *, times: int = 1) -> None:
        """A cycle, then Slurm's turn."""
        for _ in range(times):
            self.cycle()
            self.slurm.tick(seconds)

    def released(self) -> set[int]:
        """Jobs that were handed to Slurm and are only watched."""
        return {int(ref) for ref, job in self.live.items() if job.state == "released"}

    def actions(self, number: int) -> list[str]:
        return [decision.action for decision in self.decisions if decision.ref == str(number)]

    def reasons(self, number: int) -> str:
        return " / ".join(decision.reason for decision in self.decisions if decision.ref == str(number))
