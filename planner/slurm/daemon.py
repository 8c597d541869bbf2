"""The daemon of ``scaleplan slurm serve``: heartbeat, cycles, journal, control socket, metrics.

Everything it does can be cut off at any point: jobs it parked start by themselves when their begin time comes, and what
it told Slurm is read back from Slurm, not remembered.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.slurm.batch import BatchPlanner
from planner.slurm.commands import CallingBack, CommandError, SlurmCommands
from planner.slurm.control import ControlServer
from planner.slurm.cycle import CycleOutcome, CyclePlanner
from planner.slurm.heartbeat import remove_heartbeat, write_heartbeat, write_whole
from planner.slurm.hostfile import remove_old_host_files, write_host_file
from planner.slurm.journal import LIVE_STATES, UNDER_WAY, Journal
from planner.slurm.lifecycle import is_parked
from planner.slurm.log import JsonLog
from planner.slurm.metrics import Metrics
from planner.slurm.observe import Observer
from planner.slurm.reader import SnapshotReader
from planner.slurm.renewal import renew
from planner.slurm.savings import summary
from planner.slurm.settings import SlurmSettings
from planner.slurm.snapshot import Snapshot
from planner.slurm.updates import PARKED, RELEASED, merge_mark, send_updates, update_line
from topologies.errors import OutputError, ScaleplanError

if TYPE_CHECKING:
    from topologies.fabric import Fabric

__all__ = ["Daemon"]

HEARTBEAT_EVERY_S = 1.0
LOOK_EVERY_S = 0.05
# Between two cycles in a stream of submissions or ends: at most half of the time goes to our questions, and a few per
# cent of slurmctld's own (a question costs it a tenth of what it costs the one who asks).
LEAST_REST_S = 0.1
REST_SHARE = 1.0
LINES_AT_ONCE = 100  # for scontrol, between two heartbeats: 0.25 s
QUIET_POLLS = 4  # a quiet queue is looked at so many times less often; new and ended jobs call by themselves
MAX_FAILURES = 2  # after so many failed cycles in a row nothing is parked until one succeeds
KEEP_JOURNAL_S = 31 * 86400.0
HOUSEKEEPING_EVERY_S = 3600.0
REPORT_EVERY_S = 86400.0


class Daemon:
    """Runs cycles until told to stop.

    Parameters
    ----------
    settings
        Of the configuration file.
    commands
        The way to Slurm.
    planner
        Chooses the hosts.
    fabric
        The network, if known.
    log
        Where events go.

    Raises
    ------
    OutputError
        If its folders cannot be used, or another daemon uses them.
    """

    def __init__(
        self,
        settings: SlurmSettings,
        commands: SlurmCommands,
        planner: BatchPlanner | None = None,
        *,
        fabric: Fabric | None = None,
        log: JsonLog | None = None,
    ) -> None:
        self.settings, self.log = settings, log or JsonLog()
        self.commands = CallingBack(commands, self._beat)
        self.metrics = Metrics()
        self._reader = SnapshotReader(self.commands)
        self._started_s = time.time()
        self._planner = CyclePlanner(settings, planner, fabric=fabric, daemon_start_s=self._started_s)
        self._observer = Observer(settings, self.commands)
        self._stopping = self._woken = False
        self._failures = 0
        self._asked_s = 0.0
        self._is_quiet = False
        self._degraded = False
        self._beat_at = self._housekept_at = float("-inf")
        self._beat_stamp: tuple[int, int] | None = None
        self._reported_at = time.monotonic()
        self._wake_seen = self._wake_stamp()
        self._last: dict[str, Any] = {}
        self._make_folders()
        self._lock = self._take_lock()
        self.journal = Journal(settings.journal_path)
        self._live = self.journal.live_jobs()
        self._control = ControlServer(settings.socket_path, self._answer, self._slurm_user())

    def _make_folders(self) -> None:
        for text, mode in ((self.settings.state_dir, 0o700), (self.settings.run_dir, 0o750)):
            folder = Path(text)
            try:
                folder.mkdir(mode=mode, parents=True, exist_ok=True)
                if folder.stat().st_uid in (0, os.getuid()):
                    folder.chmod(mode)
            except OSError as error:
                raise OutputError(what="cannot use the folder", where=folder, found=error) from error

    def _take_lock(self) -> int:
        path = Path(self.settings.state_dir) / "lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise OutputError(
                what="another daemon runs with this state folder", where=path, fix="stop it first"
            ) from error
        return handle

    def _slurm_user(self) -> list[int]:
        try:
            from planner.slurm.read_site import read_config

            return [pwd.getpwnam(read_config(self.commands).slurm_user).pw_uid]
        except (KeyError, ScaleplanError):
            return []

    # ---- the loop ----------------------------------------------------------------------------------------------

    def run(self, *, max_cycles: int | None = None) -> None:
        """Run until `stop` is called, or for so many cycles."""
        self.log.write("start", mode=self.settings.mode, park_s=self.settings.park_s, known_jobs=len(self._live))
        done = 0
        try:
            while not self._stopping and (max_cycles is None or done < max_cycles):
                began = time.monotonic()
                self.step()
                done += 1
                self._rest(began + self._pause_s())
        finally:
            self.close()

    def stop(self) -> None:
        """Ask the loop to end; safe to call from a signal handler."""
        self._stopping = True

    def close(self) -> None:
        """Stop parking; jobs that are parked start when their time comes."""
        remove_heartbeat(self.settings.heartbeat_path)
        self._control.close()
        self.journal.close()
        with contextlib.suppress(OSError):
            os.close(self._lock)
        self.log.write("stop")

    def _pause_s(self) -> float:
        """Return how long to go without a look when nobody calls: longer while nothing is on its way."""
        if self.settings.mode == "observe" or self._failures or not self._is_quiet:
            return self.settings.poll_s
        return max(self.settings.poll_s, min(QUIET_POLLS * self.settings.poll_s, self.settings.park_s / 4))

    def _rest(self, until: float) -> None:
        """Wait for the next cycle; a touched wake file, a word on the socket or a new job ends it early."""
        least = time.monotonic() + max(LEAST_REST_S, REST_SHARE * self._asked_s)
        is_called = False
        while not self._stopping and time.monotonic() < until:
            if self._heartbeat_was_read():
                self._beat_at = float("-inf")  # a new file: access times move only once for each time written
                is_called = True
            stamp = self._wake_stamp()
            if stamp != self._wake_seen:
                self._wake_seen = stamp
                is_called = True
            self._beat()
            if (is_called or self._woken) and time.monotonic() >= least:
                break
            time.sleep(max(0.0, min(LOOK_EVERY_S, until - time.monotonic())))
        self._woken = False

    def _read_stamp(self) -> tuple[int, int] | None:
        try:
            status = self.settings.heartbeat_path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_atime_ns

    def _heartbeat_was_read(self) -> bool:
        """Whether slurmctld's Lua has read the heartbeat since it was written, which it does for each new job.

        Costs the controller nothing. Where the file system keeps no access times, the next poll finds the job.
        """
        stamp = self._read_stamp()
        if stamp is None or self._beat_stamp is None or stamp == self._beat_stamp:
            return False
        return stamp[0] == self._beat_stamp[0]

    def _wake_stamp(self) -> int:
        try:
            return self.settings.wake_path.stat().st_mtime_ns
        except OSError:
            return 0

    def _beat(self) -> None:
        """Write the heartbeat when it is due and all is well."""
        now = time.monotonic()
        if now - self._beat_at < HEARTBEAT_EVERY_S or self._failures >= MAX_FAILURES or self._degraded:
            return
        self._beat_at = now
        try:
            write_heartbeat(self.settings.heartbeat_path, mode=self.settings.mode, park_s=self.settings.park_s)
            self._beat_stamp = self._read_stamp()
        except OSError as error:
            remove_heartbeat(self.settings.heartbeat_path)
            self.log.write("no heartbeat", error=error)

    def step(self) -> None:
        """Run one cycle; a failure is counted and logged, never raised."""
        began = time.monotonic()
        self._beat()
        try:
            self._cycle()
            self._failures = 0
        except CommandError as error:
            self._fail("Slurm does not answer", error)
        except OutputError as error:
            self._fail("cannot write", error)
        except ScaleplanError as error:
            self._fail("cycle failed", error)
        except Exception as error:  # the daemon outlives a fault of its own: jobs must fail open, not hang
            self._fail("fault", f"{type(error).__name__}: {error}")
        self.metrics.set("cycle_seconds", time.monotonic() - began)
        self.metrics.set("degraded", float(self._degraded))
        self.metrics.set("refused_connections_total", self._control.refused)
        self._write_metrics()

    def _fail(self, what: str, error: object) -> None:
        self._failures += 1
        self.metrics.add("cycle_failures_total")
        if self._failures >= MAX_FAILURES:
            remove_heartbeat(self.settings.heartbeat_path)
        self.log.write(what, error=error, in_a_row=self._failures)

    def _cycle(self) -> None:
        snapshot = self._reader.read(self._live)
        self._asked_s = snapshot.read_s
        if self._degraded and not self.journal.probe():
            self._release_all(snapshot)
            return
        if self._degraded:
            self._degraded = False
            self.log.write("journal can be written again")
        ahead_s = 2 * self.metrics.values["cycle_seconds"] + self._pause_s() + HEARTBEAT_EVERY_S
        renewals, snapshot = renew(snapshot, self._live, self.settings, ahead_s=ahead_s)
        self._send(renewals)
        outcome = self._planner.run(replace(snapshot, now_s=time.time()), self._live)
        self._beat()
        if self.settings.mode == "observe":
            outcome.decisions += self._observer.look(snapshot)
        try:
            self.journal.write(outcome.tracked.values(), outcome.decisions)
        except OutputError as error:
            self._degraded = True
            remove_heartbeat(self.settings.heartbeat_path)
            self.log.write("journal cannot be written", error=error)
            self._release_all(snapshot)
            return
        self._write_host_files(outcome)
        self._remember(outcome)
        self._send(outcome.lines)
        self._is_quiet = not outcome.lines and not any(job.state in UNDER_WAY for job in self._live.values())
        self._observer.mark()
        self._report(snapshot, outcome, renewals)
        self._housekeep()

    def _remember(self, outcome: CycleOutcome) -> None:
        for ref, job in outcome.tracked.items():
            if job.state in LIVE_STATES:
                self._live[ref] = job
            else:
                self._live.pop(ref, None)

    def _send(self, lines: list[str]) -> None:
        """Send in portions, with a heartbeat between them."""
        began = time.monotonic()
        for first in range(0, len(lines), LINES_AT_ONCE):
            answer = send_updates(self.commands, lines[first : first + LINES_AT_ONCE])
            if answer is not None and answer.stderr.strip():
                self.log.write("scontrol said", text=answer.stderr.strip()[-1000:])
        self._asked_s += time.monotonic() - began

    def _release_all(self, snapshot: Snapshot) -> None:
        """Without a journal nothing is planned: every parked job goes to Slurm now."""
        lines = []
        for job in snapshot.jobs:
            detail = snapshot.details.get(job.job_id)
            if detail and PARKED in detail.admin_comment and is_parked(job, snapshot.now_s):
                lines.append(
                    update_line(job.ref, hosts=[], mark=merge_mark(detail.admin_comment, RELEASED), start_in_s=0)
                )
        if lines:
            self.log.write("released without a plan", jobs=len(lines))
            self._send(lines)

    # ---- what it tells -----------------------------------------------------------------------------------------

    def _write_host_files(self, outcome: CycleOutcome) -> None:
        if self.settings.host_file_dir is None or self.settings.mode != "pin":
            return
        files: list[tuple[str, int | None, tuple[str, ...]]]
        files = [(ref, job.user_id, hosts) for ref, (job, hosts) in outcome.placed.items()]
        for ref, tracked in outcome.tracked.items():
            before = self._live.get(ref)
            if tracked.state in ("running", "released") and tracked.ran_on and before and before.hosts != tracked.hosts:
                files.append((ref, None, tracked.ran_on))  # the file names hosts of a plan that was not carried out
        for ref, user_id, hosts in files:
            try:
                write_host_file(Path(self.settings.host_file_dir), ref, hosts, user_id=user_id)
            except OSError as error:
                self.log.write("no host file", job=ref, error=error)

    def _report(self, snapshot: Snapshot, outcome: CycleOutcome, renewals: list[str]) -> None:
        self.metrics.add("cycles_total")
        self.metrics.set("parked_jobs", outcome.num_parked)
        self.metrics.set("waiting_jobs", outcome.num_waiting)
        self.metrics.set("plan_seconds", float(outcome.figures.get("plan_s", 0.0)))
        self.metrics.set("last_cycle_timestamp_seconds", time.time())
        names = {"pin": "pins_total", "prefer": "pins_total", "repair": "repairs_total", "released": "released_total"}
        for decision in outcome.decisions:
            if decision.action in names:
                self.metrics.add(names[decision.action])
            elif decision.action == "ran" and decision.reason.startswith("on "):
                planned = decision.reason == "on the planned hosts"
                self.metrics.add("ran_as_planned_total" if planned else "ran_otherwise_total")
            if decision.action != "waits":
                self.log.write(decision.action, job=decision.ref, hosts=decision.hosts, reason=decision.reason)
        if outcome.pins or outcome.releases:
            self.log.write(
                "cycle",
                jobs=len(snapshot.jobs),
                parked=outcome.num_parked,
                pins=len(outcome.pins),
                releases=len(outcome.releases),
                renewals=len(renewals) + len(outcome.renewals),
                plan=outcome.figures,
            )
        self._last = {"jobs": len(snapshot.jobs), "parked": outcome.num_parked, "waiting": outcome.num_waiting}
        self._last |= {"plan": outcome.figures, "at_s": snapshot.now_s}

    def _write_metrics(self) -> None:
        if self.settings.metrics_file is not None:
            try:
                write_whole(Path(self.settings.metrics_file), self.metrics.text(), mode=0o644)
            except OSError as error:
                self.log.write("no metrics file", error=error)

    def _housekeep(self) -> None:
        now = time.monotonic()
        if now - self._housekept_at < HOUSEKEEPING_EVERY_S:
            return
        self._housekept_at = now
        self.journal.forget_before(time.time() - KEEP_JOURNAL_S)
        if self.settings.host_file_dir is not None:
            remove_old_host_files(Path(self.settings.host_file_dir), before_s=time.time() - KEEP_JOURNAL_S)
        if self.settings.mode == "observe" and now - self._reported_at >= REPORT_EVERY_S:
            self._reported_at = now
            self.log.write("daily report", figures=summary(self.journal))

    def _answer(self, command: str) -> dict[str, Any]:
        """Answer the control socket; runs in its thread, so it only reads."""
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "status": lambda: {
                "mode": self.settings.mode,
                "started_s": self._started_s,
                "degraded": self._degraded,
                "failures_in_a_row": self._failures,
                "last_cycle": self._last,
                "metrics": dict(self.metrics.values),
            },
            "metrics": lambda: {"text": self.metrics.text()},
            "wake": self._wake,
        }
        answer = answers.get(command)
        return answer() if answer else {"error": f"unknown command; there are {', '.join(sorted(answers))}"}

    def _wake(self) -> dict[str, Any]:
        self._woken = True
        return {"woken": True}
