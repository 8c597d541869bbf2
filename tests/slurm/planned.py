"""An emulated cluster with the planner: the Lua in slurmctld, and the daemon as a process of its own."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.slurm.site_files import EPILOG_HOOK
from tests.slurm.emulator import EmulatedCluster, wait_for

LUA_MODULE = Path(__file__).parents[2] / "planner/slurm/files/scaleplan_submit.lua"

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# What the planner's own processes see as the time: read anew from a file each time it is asked.
_STEPPED = """\
import time
real = time.time
time.time = lambda: real() + int(open({clock!r}).read())
from planner.cli.main import main
main()
"""
SCALEPLAN = [sys.executable, "-c", "from planner.cli.main import main; main()", "slurm"]

_JOB_SUBMIT = """\
function slurm_job_submit(job_desc, part_list, submit_uid)
   return slurm.SUCCESS
end
function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
   return slurm.SUCCESS
end
slurm_job_submit = dofile("{module}").wrap(slurm_job_submit, {{ heartbeat = "{heartbeat}" }})
return slurm.SUCCESS
"""


@dataclass
class PlannedCluster(EmulatedCluster):
    """An emulated cluster whose new jobs are parked while the daemon's heartbeat is fresh.

    Parameters
    ----------
    settings
        Lines of the daemon's configuration beside the folders.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    daemon: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.extra += f"\nEpilogSlurmctld={self.hook}"
        self.lua = _JOB_SUBMIT.format(module=LUA_MODULE, heartbeat=self.run_dir / "heartbeat")

    @property
    def hook(self) -> Path:
        """The script that wakes the planner when a job has ended, as install writes it."""
        return self.root / "epilog_slurmctld.sh"

    def _write_files(self) -> None:
        super()._write_files()
        self.hook.write_text(EPILOG_HOOK.format(run_dir=self.run_dir))
        self.hook.chmod(0o755)

    @property
    def run_dir(self) -> Path:
        """The daemon's folder of heartbeat and socket."""
        return self.root / "planner-run"

    @property
    def state_dir(self) -> Path:
        """The daemon's folder of the journal."""
        return self.root / "planner-state"

    @property
    def park_s(self) -> int:
        """Seconds a job is parked for."""
        return int(self.settings.get("park_s", 20))

    @property
    def log_path(self) -> Path:
        """The daemon's log."""
        return self.root / "log/planner.log"

    def configuration(self) -> Path:
        """Write the daemon's configuration and return its path."""
        path = self.root / "planner.yaml"
        values = {
            "mode": "pin",
            "park_s": 20,
            "poll_s": 0.3,
            "run_dir": str(self.run_dir),
            "state_dir": str(self.state_dir),
            "slurm_conf": self.env["SLURM_CONF"],
        } | self.settings
        path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items()))
        return path

    def start_daemon(self, *, wait: bool = True, clock: Path | None = None) -> subprocess.Popen[bytes]:
        """Start the daemon, and wait for its first heartbeat; `clock` is a file that says how far its clock is off."""
        program = [sys.executable, "-c", _STEPPED.format(clock=str(clock)), "slurm"] if clock else SCALEPLAN
        with self.log_path.open("ab") as log:
            self.daemon = subprocess.Popen(
                [*program, "serve", "-c", str(self.configuration())],
                env={name: value for name, value in self.env.items() if name != "LD_PRELOAD"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                preexec_fn=_die_with_parent,
            )
        if wait:
            began = time.time()
            wait_for(
                lambda: self.beats_since(began), timeout_s=30, what=f"a heartbeat\n{self.log_path.read_text()[-2000:]}"
            )
        return self.daemon

    def scaleplan(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``scaleplan slurm`` as an operator would, with this cluster's configuration."""
        return self.run(*SCALEPLAN, *argv, check=check)

    def beats_since(self, at_s: float) -> bool:
        """Whether the heartbeat was written after a time."""
        try:
            return (self.run_dir / "heartbeat").stat().st_mtime >= at_s - 0.01
        except FileNotFoundError:
            return False

    def stop_daemon(self, number: int = signal.SIGTERM) -> None:
        """Signal the daemon and wait for its end."""
        if self.daemon is not None and self.daemon.poll() is None:
            os.kill(self.daemon.pid, signal.SIGCONT)
            os.kill(self.daemon.pid, number)
            self.daemon.wait(30)

    def stop(self) -> None:
        """Stop the daemon, then the cluster."""
        with contextlib.suppress(Exception):
            self.stop_daemon(signal.SIGKILL)
        super().stop()

    # ------------------------------------------------------------------- what it wrote

    def journal(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Read from the journal, beside the daemon."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state_dir}/journal.sqlite3?mode=ro", uri=True)) as db:
            return db.execute(query, values).fetchall()

    def planned_hosts(self) -> dict[int, set[str]]:
        """Return the hosts of each job whose pin was seen in Slurm, by the journal's last word on it."""
        rows = self.journal("SELECT ref, hosts FROM decisions WHERE action = 'pinned' ORDER BY id")
        given_up = {ref for (ref,) in self.journal("SELECT ref FROM jobs WHERE hosts = ''")}
        return {int(ref): set(hosts.split()) for ref, hosts in rows if "_" not in ref and ref not in given_up}

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the daemon's log events."""
        for line in self.log_path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                yield json.loads(line)


def _die_with_parent() -> None:
    """Let the kernel end the daemon with the test run, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def all_in(cluster: EmulatedCluster, jobs: list[int], *states: str) -> bool:
    """Whether all jobs are in one of the states."""
    now = cluster.states()
    return all(now.get(job) in states for job in jobs)
