"""Start the daemon as a process: configuration, planner, signals."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from planner.slurm.batch import BatchPlanner, KeepStart
from planner.slurm.commands import SlurmTools
from planner.slurm.daemon import Daemon
from planner.slurm.settings import SlurmSettings, load_settings

if TYPE_CHECKING:
    from topologies.fabric import Fabric

__all__ = ["load_site_fabric", "make_planner", "make_tools", "serve"]


def make_tools(settings: SlurmSettings) -> SlurmTools:
    """Return Slurm's tools as the settings say."""
    return SlurmTools(
        bin_dir=Path(settings.slurm_bin_dir) if settings.slurm_bin_dir else None,
        slurm_conf=Path(settings.slurm_conf) if settings.slurm_conf else None,
    )


def make_planner(settings: SlurmSettings) -> BatchPlanner:
    """Return the planner the settings name: ``leaf-fit``, or a solver behind the seam.

    Raises
    ------
    InputError
        If there is no such solver.
    """
    if settings.solver == "leaf-fit":
        return KeepStart()
    from planner.slurm.solver_plan import SolverPlan

    return SolverPlan(settings.solver, oversubscription=settings.oversubscription)


def load_site_fabric(settings: SlurmSettings) -> Fabric | None:
    """Return the fabric the settings name, if any.

    Raises
    ------
    InputError
        If its file is refused.
    """
    if settings.fabric is None:
        return None
    from topologies.files.fabric_file import load_fabric

    return load_fabric(settings.fabric)


def serve(config: Path | None) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Raises
    ------
    ScaleplanError
        If the configuration is refused or the daemon cannot start.
    """
    os.umask(0o027)
    settings = load_settings(config)
    daemon = Daemon(settings, make_tools(settings), make_planner(settings), fabric=load_site_fabric(settings))

    def stop(_number: int, _frame: FrameType | None) -> None:
        daemon.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    daemon.run()
