"""Read the queue: the facts from ``squeue``, users' texts from ``scontrol show job``.

``squeue`` is asked for fields that Slurm itself checks, none of free text, so that no job name or comment can pass for
another job's line. The texts come from ``scontrol``; a record that is not unique there is asked for again by number.
"""

from __future__ import annotations

import calendar
import itertools
import re
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace

from planner.slurm.commands import CommandError, SlurmCommands
from planner.slurm.records import ENDED_STATES, JobDetail, QueuedJob
from topologies.errors import InputError
from topologies.hostlist import expand_hosts

__all__ = [
    "SQUEUE_FORMAT",
    "parse_duration",
    "parse_gpus",
    "parse_job_detail",
    "parse_queue",
    "parse_time",
    "read_details",
    "read_queue",
    "read_queue_and_ends",
    "split_details",
    "task_ranges",
]

_SEPARATOR = "\x1f"
_FIELDS = (
    "%i",  # ref: 12, 12_3, 12+0
    "%A",  # job number
    "%F",  # array's job number
    "%T",  # state
    "%r",  # reason
    "%Q",  # priority
    "%P",  # partitions
    "%U",  # user number
    "%V",  # submitted
    "%S",  # start
    "%e",  # end
    "%l",  # time limit
    "%D",  # nodes
    "%C",  # CPUs
    "%c",  # least CPUs a node
    "%m",  # least memory
    "%b",  # GRES a node
    "%h",  # sharing
    "%n",  # required nodes
    "%x",  # excluded nodes
    "%N",  # nodes
    "%Y",  # nodes Slurm means to use
    "%v",  # reservation
    "%E",  # dependency
    "%f",  # features
)
SQUEUE_FORMAT = _SEPARATOR.join(_FIELDS)
_STATES = (
    "PENDING,RUNNING,CONFIGURING,COMPLETING,SUSPENDED,STOPPED,REQUEUED,REQUEUE_HOLD,REQUEUE_FED,RESIZING,SIGNALING"
)
_MAX_RECORD_CHARS = 65_536
_UNSET = ("", "(null)", "N/A", "NONE", "Unknown", "None", "n/a")
_MIB_BY_SUFFIX = {"": 1, "K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2, "P": 1024**3}

_REF = re.compile(r"\d{1,10}(?:_\d{1,10}|(\+\d{1,4}))?\Z", re.ASCII)
_DURATION = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)\Z|(\d+)\Z|(\d+)-(\d+)(?::(\d+))?\Z", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\Z", re.ASCII)
_MEMORY = re.compile(r"([\d.]+)([KMGTP]?)[nc]?\Z", re.ASCII)
_GPU = re.compile(r"(?:gres[:/])?gpu(?:[:=][A-Za-z][\w.\-]*)?(?:[:=](\d+))?(?:\(.*\))?\Z", re.ASCII)
_RECORD_START = re.compile(r"^JobId=(\d+) ", re.MULTILINE | re.ASCII)
_TEXTS = re.compile(
    r"\sWorkDir=.*?"
    r"(?:\sAdminComment=(?P<admin>.*?))?(?:\sSystemComment=.*?)?(?:\sComment=(?P<comment>.*?))?\s+StdErr=",
    re.DOTALL,
)


def read_queue(commands: SlurmCommands) -> tuple[QueuedJob, ...]:
    """Ask for every job that waits or holds nodes."""
    answer = commands.run(["squeue", "-h", "-a", "-r", "-t", _STATES, "-o", SQUEUE_FORMAT])
    return parse_queue(answer.stdout)


def read_queue_and_ends(
    commands: SlurmCommands, refs: Container[str]
) -> tuple[tuple[QueuedJob, ...], dict[str, QueuedJob]]:
    """Ask for every job that waits or holds nodes, and for those of `refs` that ended within MinJobAge, in one look."""
    answer = commands.run(["squeue", "-h", "-a", "-r", "-t", "all", "-o", SQUEUE_FORMAT])
    live, ended = [], []
    for line in answer.stdout.split("\n"):
        ref, _, rest = line.partition(_SEPARATOR)
        if rest.split(_SEPARATOR, 3)[2:3] and rest.split(_SEPARATOR, 3)[2] in ENDED_STATES:
            if ref in refs:
                ended.append(line)
        else:
            live.append(line)
    return parse_queue("\n".join(live)), {job.ref: job for job in map(_parse_line, ended) if job is not None}


def parse_queue(text: str) -> tuple[QueuedJob, ...]:
    """Parse ``squeue -h -r -o SQUEUE_FORMAT``; lines that are not of that form are left out.

    Tasks of an array that share one job number are still one record inside Slurm, and are read as one.
    """
    jobs: list[QueuedJob] = []
    tasks: dict[int, list[int]] = {}
    for line in text.split("\n"):
        array, task, job_id = _array_task(line)
        if task is not None and job_id in tasks:
            tasks[job_id].append(task)
            continue
        job = _parse_line(line)
        if job is None:
            continue
        if task is not None and job.is_pending and job_id == array:
            tasks[job_id] = [task]
        jobs.append(job)
    return tuple(_joined(job, tasks.get(job.job_id, [])) for job in jobs)


def _array_task(line: str) -> tuple[int, int | None, int]:
    """Return array, task and job number of a line; the task is ``None`` on any other line."""
    ref, _, rest = line.partition(_SEPARATOR)
    array, underscore, task = ref.partition("_")
    job_id = rest.partition(_SEPARATOR)[0]
    if underscore and array.isdigit() and task.isdigit() and job_id.isdigit():
        return int(array), int(task), int(job_id)
    return 0, None, 0


def _joined(job: QueuedJob, tasks: Sequence[int]) -> QueuedJob:
    """Return the record of an array's tasks that are still together; a job that is none comes back as it is."""
    if not tasks:
        return job
    return replace(job, ref=f"{job.array_job_id}_[{task_ranges(sorted(tasks))}]", array_tasks=tuple(sorted(tasks)))


def task_ranges(numbers: Sequence[int]) -> str:
    """Write ``1,3-5`` for sorted numbers."""
    texts: list[str] = []
    for _, group in itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        texts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(texts)


def _parse_line(line: str) -> QueuedJob | None:
    values = line.split(_SEPARATOR)
    if len(values) != len(_FIELDS):
        return None
    row = dict(zip(_FIELDS, (value.strip() for value in values), strict=True))
    match = _REF.match(row["%i"])
    try:
        if match is None:
            return None
        memory = _MEMORY.match(row["%m"])
        return QueuedJob(
            ref=row["%i"],
            job_id=int(row["%A"]),
            array_job_id=int(row["%F"]),
            array_tasks=(),
            state=row["%T"],
            reason=row["%r"].split(",")[0],
            priority=int(row["%Q"]),
            partitions=tuple(row["%P"].split(",")),
            user_id=int(row["%U"]),
            submit_s=parse_time(row["%V"]) or 0.0,
            start_s=parse_time(row["%S"]),
            end_s=parse_time(row["%e"]),
            time_limit_s=parse_duration(row["%l"]),
            num_nodes=int(row["%D"].split("-")[0]),
            num_cpus=int(row["%C"].split("-")[0]),
            min_cpus_per_node=int(row["%c"]),
            memory_mib=round(float(memory.group(1)) * _MIB_BY_SUFFIX[memory.group(2)]) if memory else 0,
            memory_is_per_cpu=row["%m"].endswith("c"),
            gpus_per_node=parse_gpus(row["%b"]),
            oversubscribe=row["%h"],
            req_nodes=expand_hosts(row["%n"], where="squeue %n"),
            exc_nodes=expand_hosts(row["%x"], where="squeue %x"),
            nodes=expand_hosts(row["%N"], where="squeue %N") if row["%T"] != "PENDING" else (),
            sched_nodes=expand_hosts(row["%Y"], where="squeue %Y"),
            reservation=_text(row["%v"]),
            dependency=_text(row["%E"]),
            features=_text(row["%f"]),
            is_het=match.group(1) is not None,
        )
    except (ValueError, InputError):
        return None


def _text(value: str) -> str:
    return "" if value in _UNSET else value


def parse_time(text: str) -> float | None:
    """Read a time as seconds since the epoch: a number, or local ISO time; ``None`` when Slurm has none."""
    if text.isdigit():
        return float(text)
    if _ISO.match(text):
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    if _ISO.match(text.removesuffix("Z")):
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    return None


def parse_duration(text: str) -> float | None:
    """Read a Slurm time limit (``D-HH:MM:SS``, ``HH:MM:SS``, ``MM:SS``, minutes) in seconds; ``None`` if unlimited."""
    match = _DURATION.match(text)
    if match is None:
        return None
    days, hours, minutes, seconds, only_minutes, d, h, m = (int(g) if g else 0 for g in match.groups())
    if match.group(5) is not None:
        return only_minutes * 60.0
    if match.group(6) is not None:
        return d * 86400.0 + h * 3600.0 + m * 60.0
    return days * 86400.0 + hours * 3600.0 + minutes * 60.0 + seconds


def parse_gpus(text: str) -> int:
    """Sum the GPUs of a GRES text such as ``gpu:8``, ``gres:gpu:a100:4(S:0-1)`` or ``gres/gpu=2,gres/gpu:h100=2``."""
    total = 0
    for part in re.split(r",(?![^(]*\))", text):
        match = _GPU.match(part.strip())
        if match is not None:
            total += int(match.group(1)) if match.group(1) is not None else 1
    return total


def split_details(text: str) -> dict[int, list[str]]:
    """Split ``scontrol -o show jobs`` into records by the job number they begin with.

    A job's name or comment may hold a line that looks like a record, so a number can come more than once.
    """
    starts = [(match.start(), int(match.group(1))) for match in _RECORD_START.finditer(text)]
    records: dict[int, list[str]] = {}
    for i, (start, job_id) in enumerate(starts):
        stop = starts[i + 1][0] if i + 1 < len(starts) else len(text)
        records.setdefault(job_id, []).append(text[start:stop])
    return records


def read_details(commands: SlurmCommands, job_ids: Iterable[int]) -> dict[int, JobDetail]:
    """Read the details of these jobs: all at once when there are many, one by one where a record is in doubt."""
    wanted = set(job_ids)
    if not wanted:
        return {}
    found: dict[int, JobDetail] = {}
    records = split_details(commands.run(["scontrol", "-o", "show", "jobs"]).stdout) if len(wanted) > 1 else {}
    for job_id in sorted(wanted):
        texts = records.get(job_id, [])
        if len(texts) == 1 and _is_whole(texts[0]):
            found[job_id] = parse_job_detail(texts[0])
            continue
        try:
            answer = commands.run(["scontrol", "-o", "show", "job", str(job_id)])
        except CommandError:
            continue  # gone since the queue was read
        found[job_id] = parse_job_detail(answer.stdout)
    return found


def _is_whole(record: str) -> bool:
    """Whether a record runs to its end: one cut by a forged line inside a text does not."""
    return _TEXTS.search(record[:_MAX_RECORD_CHARS]) is not None


def parse_job_detail(record: str) -> JobDetail:
    """Parse one record of ``scontrol -o show job``, of 22.05 to 26.05, one-line or not."""
    record = record[:_MAX_RECORD_CHARS]
    texts = _TEXTS.search(record)
    exclusive = _last(record, "Exclusive")
    nodes = (_last(record, "NumNodes") or "0").split("-")
    return JobDetail(
        comment=(texts.group("comment") or "").strip() if texts else "",
        admin_comment=(texts.group("admin") or "").strip() if texts else "",
        account=_text(_last(record, "Account") or ""),
        qos=_text(_last(record, "QOS") or ""),
        exclusive=None if exclusive is None else exclusive != "NO",
        segment_nodes=_number(_last(record, "SegmentSize")),
        max_switches=_number((_last(record, "Switches") or "").split("@")[0]),
        array_limit=_number(_last(record, "ArrayTaskThrottle")),
        restarts=_number(_last(record, "Restarts")),
        min_nodes=_number(nodes[0]),
        max_nodes=_number(nodes[-1]),
    )


def _last(record: str, key: str) -> str | None:
    """Return the last word given to `key`: users' texts that could imitate it come before (job name)."""
    found = re.findall(rf"\s{key}=(\S*)", record)
    return found[-1] if found else None


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() and len(text) < 12 else 0
