"""Host files in rank order: Slurm sorts a job's nodes by name, so the order of ranks has to be handed to ``srun``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from planner.slurm.heartbeat import write_whole
from topologies.errors import InputError
from topologies.hostlist import is_host_name

__all__ = ["PROLOGUE_HELPER", "host_file_lines", "remove_old_host_files", "write_host_file"]

_SUFFIX = ".hosts"

# For a job script: one line a task, as srun -m arbitrary wants it; nothing happens when there is no plan for the job.
PROLOGUE_HELPER = (
    'f="{folder}/${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}"; '
    'f="${{f%/}}"; [ "$f" = "{folder}" ] && f="$f/$SLURM_JOB_ID"; '
    '[ -r "$f{suffix}" ] && awk -v n="${{SLURM_NTASKS_PER_NODE:-1}}" \'{{for(i=0;i<n;i++)print}}\' "$f{suffix}" '
    '> "$HOME/.scaleplan.$SLURM_JOB_ID" && export SLURM_HOSTFILE="$HOME/.scaleplan.$SLURM_JOB_ID" '
    "SLURM_DISTRIBUTION=arbitrary"
)


def prologue_helper(folder: Path) -> str:
    """Return the line a user puts into a job script before ``srun``."""
    return PROLOGUE_HELPER.format(folder=folder, suffix=_SUFFIX)


def host_file_lines(hosts: Sequence[str], *, tasks_per_node: int = 1) -> str:
    """Return the text of a host file: a line a task, in rank order.

    Raises
    ------
    InputError
        If a name is no host name, or there is no task.
    """
    if tasks_per_node < 1:
        raise InputError(what="at least one task a node", found=tasks_per_node)
    for host in hosts:
        if not is_host_name(host):
            raise InputError(what="not a host name", found=repr(host))
    return "".join(f"{host}\n" * tasks_per_node for host in hosts)


def write_host_file(folder: Path, ref: str, hosts: Sequence[str], *, user_id: int | None) -> Path:
    """Write the host file of one job, readable by its user; without a user it stays the old file's.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = folder / f"{ref}{_SUFFIX}"
    if user_id is None:
        user_id = path.stat().st_uid
    write_whole(path, host_file_lines(hosts), mode=0o640)
    if os.geteuid() == 0:
        os.chown(path, user_id, -1)
    else:
        path.chmod(0o644)
    return path


def remove_old_host_files(folder: Path, *, before_s: float) -> None:
    """Remove host files not written since a time."""
    for path in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before_s:
                path.unlink()
