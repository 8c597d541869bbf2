"""A site's past jobs from ``sacct``: sizes and node hours, for advice on blocks and segments."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planner.slurm.commands import SlurmCommands
from planner.slurm.read_jobs import parse_gpus, parse_time
from planner.slurm.records import ENDED_STATES, QueuedJob, ended_job
from topologies.errors import InputError
from topologies.hostlist import expand_hosts

__all__ = ["SACCT_FIELDS", "PastJob", "parse_ends", "parse_sacct", "read_ends", "read_sacct"]

SACCT_FIELDS = "JobIDRaw,NNodes,AllocTRES,Submit,Start,End,State"
_END_FIELDS = "JobID,JobIDRaw,State,NodeList,Submit,Start,End"
_REFS_AT_ONCE = 200
_MAX_JOBS = 5_000_000


@dataclass(frozen=True, slots=True)
class PastJob:
    """One finished job."""

    num_nodes: int
    num_gpus: int
    wait_s: float
    run_s: float


def read_sacct(commands: SlurmCommands, *, days: int) -> list[PastJob]:
    """Ask the accounting for the jobs of the last days.

    Raises
    ------
    CommandError
        If the site has no accounting or it does not answer.
    """
    argv = ["sacct", "-a", "-X", "-P", "-n", "-S", f"now-{days}days", "-o", SACCT_FIELDS]
    return list(parse_sacct(commands.run(argv).stdout))


def read_ends(commands: SlurmCommands, refs: Sequence[str]) -> dict[str, QueuedJob]:
    """Ask the accounting for jobs that ended so long ago that slurmctld has forgotten them, by number.

    Raises
    ------
    CommandError
        If the site has no accounting or it does not answer.
    """
    found: dict[str, QueuedJob] = {}
    for first in range(0, len(refs), _REFS_AT_ONCE):
        chosen = refs[first : first + _REFS_AT_ONCE]
        argv = ["sacct", "-a", "-X", "-P", "-n", "-D", "-j", ",".join(chosen), "-o", _END_FIELDS]
        found |= {ref: job for ref, job in parse_ends(commands.run(argv).stdout).items() if ref in chosen}
    return found


def parse_ends(text: str) -> dict[str, QueuedJob]:
    """Parse ``sacct -P -n -o`` of numbers, state, nodes and times; of two lines for one number the later counts."""
    found: dict[str, QueuedJob] = {}
    for line in text.splitlines():
        words = line.split("|")
        state = words[2].split(" ")[0] if len(words) == 7 else ""
        if state not in ENDED_STATES or not words[1].isdigit():
            continue
        nodes = () if words[3] in ("", "None assigned") else expand_hosts(words[3], where="sacct NodeList")
        submit_s, start_s, end_s = map(parse_time, words[4:])
        # What the job required is not told: it counts as planned if it ran where it was to run.
        found[words[0]] = ended_job(words[0], int(words[1]), state, nodes, submit_s or 0.0, start_s, end_s)
    return found


def parse_sacct(text: str, *, where: str = "sacct") -> Iterator[PastJob]:
    """Parse ``sacct -P -n -o SACCT_FIELDS``; jobs that never ran are left out.

    Raises
    ------
    InputError
        If no line has these fields.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    num_fields = len(SACCT_FIELDS.split(","))
    rows = [values for values in (line.split("|") for line in lines[:_MAX_JOBS]) if len(values) == num_fields]
    if lines and not rows:
        raise InputError(
            what="not the output of sacct",
            where=where,
            found=lines[0][:80],
            allowed=f"lines of {SACCT_FIELDS}, parted by |",
            fix=f"sacct -a -X -P -n -S now-30days -o {SACCT_FIELDS}",
        )
    for values in itertools.islice(rows, _MAX_JOBS):
        _, nodes, tres, submit, start, end, _ = values
        begun, over, asked = parse_time(start), parse_time(end), parse_time(submit)
        if not nodes.isdigit() or int(nodes) < 1 or begun is None or over is None or over < begun:
            continue
        yield PastJob(int(nodes), _gpus(tres), max(0.0, begun - (asked or begun)), over - begun)


def _gpus(tres: str) -> int:
    """Return the GPUs of ``cpu=8,gres/gpu=16,gres/gpu:h100=16``: the plain count, else the sum of the kinds."""
    for part in tres.split(","):
        if part.startswith("gres/gpu=") and part[9:].isdigit():
            return int(part[9:])
    return parse_gpus(tres)
