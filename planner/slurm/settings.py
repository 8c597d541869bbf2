"""The daemon's configuration file: every key, its range and its default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from topologies.files.validated import StrictModel

__all__ = ["DEFAULT_PATH", "IntentSettings", "Mode", "SlurmSettings", "load_settings"]

DEFAULT_PATH = Path("/etc/scaleplan/slurm.yaml")

Mode = Literal["observe", "prefer", "pin"]
_Path = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^/[^\x00\n]*$")]
_Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class IntentSettings(StrictModel):
    """What a job of a partition is taken to do when its comment says nothing."""

    model: _Word | None = None
    tp: Annotated[int, Field(ge=1, le=4096)] | None = None
    pp: Annotated[int, Field(ge=1, le=4096)] | None = None
    ep: Annotated[int, Field(ge=1, le=4096)] | None = None
    pattern: Literal["ring", "all-to-all"] | None = None


class SlurmSettings(StrictModel):
    """Settings of ``scaleplan slurm serve``.

    Attributes
    ----------
    mode
        ``observe`` writes what it would have done and touches nothing else; ``prefer`` asks Slurm softly; ``pin``
        chooses the nodes.
    park_s
        Seconds a new job is parked for. If the planner dies, Slurm starts the job after this time at the latest.
    poll_s
        Seconds between looks at the queue.
    plan_budget_s
        Time for one plan.
    min_nodes
        Jobs of fewer nodes are left to Slurm.
    max_parked_s
        A job parked for longer is handed to Slurm without a plan.
    max_tries
        After so many plans that Slurm did not carry out, a job is handed to Slurm and never touched again.
    start_grace_s
        A pinned job that Slurm has not started after this time, though its nodes are free, is handed to Slurm.
    patience_s
        A job that could start now, but on more leaf switches than its size needs, waits so long for better hosts while
        jobs behind it go on; 0 never makes a job wait that could start.
    plan_depth
        Jobs looked at in one plan, in priority order.
    partitions
        Only these; none for all.
    solver
        Name of a placement solver, or ``leaf-fit``.
    oversubscription
        Downlink over uplink capacity of the leaf switches, where no fabric file says.
    fabric
        A fabric file or a name of the catalogue; without one Slurm's own topology is used.
    defaults
        Job intent by partition.
    state_dir, run_dir
        Folders of the journal and of heartbeat, socket and wake file.
    metrics_file
        Prometheus text file for node_exporter; none to write none.
    host_file_dir
        Folder for host files in rank order, one a job; none to write none.
    slurm_bin_dir
        Folder of ``scontrol`` and ``squeue``; none looks along PATH.
    """

    mode: Mode = "observe"
    park_s: Annotated[int, Field(ge=5, le=3600)] = 60
    poll_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    plan_budget_s: Annotated[float, Field(ge=0.05, le=60)] = 2.0
    min_nodes: Annotated[int, Field(ge=1, le=65533)] = 2
    max_parked_s: Annotated[int, Field(ge=10, le=7 * 86400)] = 3600
    max_tries: Annotated[int, Field(ge=1, le=100)] = 3
    start_grace_s: Annotated[int, Field(ge=5, le=3600)] = 30
    patience_s: Annotated[float, Field(ge=0, le=86400)] = 0.0
    plan_depth: Annotated[int, Field(ge=1, le=20000)] = 1000
    partitions: list[_Word] = Field(default_factory=list)
    solver: _Word = "cp-sat"
    oversubscription: Annotated[float, Field(ge=1, le=1000)] = 2.0
    fabric: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    defaults: dict[str, IntentSettings] = Field(default_factory=dict)
    state_dir: _Path = "/var/lib/scaleplan"
    run_dir: _Path = "/run/scaleplan"
    metrics_file: _Path | None = None
    host_file_dir: _Path | None = None
    slurm_bin_dir: _Path | None = None
    slurm_conf: _Path | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    @property
    def heartbeat_path(self) -> Path:
        """The file that tells the Lua that the planner is alive."""
        return Path(self.run_dir) / "heartbeat"

    @property
    def socket_path(self) -> Path:
        """The control socket."""
        return Path(self.run_dir) / "control.sock"

    @property
    def wake_path(self) -> Path:
        """The file that EpilogSlurmctld touches."""
        return Path(self.run_dir) / "wake"

    @property
    def journal_path(self) -> Path:
        """The journal."""
        return Path(self.state_dir) / "journal.sqlite3"


def load_settings(path: Path | None) -> SlurmSettings:
    """Load the configuration; `None` takes the usual place, and the defaults if nothing is there.

    Raises
    ------
    InputError
        If the file is not there (when named), cannot be read, or is refused.
    """
    from topologies.files.loading import load_document
    from topologies.files.validated import validate

    if path is None:
        if not DEFAULT_PATH.exists():
            return SlurmSettings()
        path = DEFAULT_PATH
    document = load_document(path)
    return SlurmSettings() if document.root is None else validate(SlurmSettings, document)
