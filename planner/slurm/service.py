"""Start the daemon as a process: configuration, planner, signals."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType

from planner.slurm.commands import SlurmTools
from planner.slurm.daemon import Daemon
from planner.slurm.settings import SlurmSettings, load_settings

__all__ = ["make_tools", "serve"]


def make_tools(settings: SlurmSettings) -> SlurmTools:
    """Return Slurm's tools as the settings say."""
    return SlurmTools(
        bin_dir=Path(settings.slurm_bin_dir) if settings.slurm_bin_dir else None,
        slurm_conf=Path(settings.slurm_conf) if settings.slurm_conf else None,
    )


def serve(config: Path | None) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Raises
    ------
    ScaleplanError
        If the configuration is refused or the daemon cannot start.
    """
    os.umask(0o027)
    settings = load_settings(config)
    daemon = Daemon(settings, make_tools(settings))

    def stop(_number: int, _frame: FrameType | None) -> None:
        daemon.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    daemon.run()
