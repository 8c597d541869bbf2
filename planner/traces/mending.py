"""Rules for bad rows, in one place: what is mended, what is left out, and how often each happened."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain

from planner.traces.trace import TraceJob
from topologies.errors import InputError

__all__ = ["Mender", "seconds_of"]

_CLOCK = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")
_MIG = re.compile(r"[1-7]g\.\d+gb")
_MAX_ACCELERATORS = 10**7
_MOST_IDS = 2_000_000


class Mender:
    """Turns the texts of a row into a job, or leaves the row out; counts both.

    - No number where one is needed, a negative one, no end: left out.
    - No accelerators: left out, unless processors are asked for.
    - No id: named by its row. An id seen before: ``#2``, ``#3`` … is added.
    - Zero duration: kept; the job ends as it starts.
    - Times with and without a zone in one file: those without count as UTC.
    """

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._seen: dict[str, int] = {}
        self._zones: set[bool] = set()
        self._shortest_submit_s = math.inf
        self._last_submit_s = -math.inf
        self._longest_s = 0.0

    def time(self, text: str) -> float | None:
        """Return a time in seconds: a number as it stands, a date since 1970-01-01 UTC; None where there is none."""
        text = text.strip()
        if text.lower() in ("", "none", "null", "nan", "unknown", "n/a"):
            return None
        try:
            number = float(text)
            return number if math.isfinite(number) else None
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        self._zones.add(moment.tzinfo is not None)
        if len(self._zones) == 2:
            self.counted["times without a zone beside times with one: taken as UTC"] = 1
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def job(
        self,
        *,
        row: int,
        id: str,
        submit_s: float | None,
        duration_s: float | None,
        gpus: float | None,
        cpus: float = 0.0,
        memory_mib: float = 0.0,
        gpu_milli: int | None = None,
        models: tuple[str, ...] = (),
        tenant: str = "",
        status: str = "",
        kind: str = "",
        priority: float = 0.0,
        limit_s: float | None = None,
        used_pct: float | None = None,
        mig: str = "",
    ) -> TraceJob | None:
        """Return the job of a row, or None if it is left out."""
        why = _why_not(submit_s, duration_s, gpus, cpus)
        if why or submit_s is None or duration_s is None or gpus is None:
            self.counted[f"left out: {why}"] += 1
            return None
        if gpu_milli is None:
            gpu_milli = round(gpus * 1000) if 0 < gpus < 1 else 1000
        if gpus > 1 and gpus != int(gpus):
            self.counted["a fraction of several accelerators: rounded up"] += 1
        if duration_s == 0:
            self.counted["zero duration: kept, ends as it starts"] += 1
        self._longest_s = max(self._longest_s, duration_s)
        self._shortest_submit_s = min(self._shortest_submit_s, submit_s)
        self._last_submit_s = max(self._last_submit_s, submit_s)
        return TraceJob(
            self._unique(id or f"row{row}"),
            submit_s,
            duration_s,
            math.ceil(gpus),
            max(gpu_milli, 1) if math.ceil(gpus) == 1 else 1000,
            round(max(cpus, 0.0) * 1000),
            round(max(memory_mib, 0.0)),
            models,
            tenant,
            status,
            kind,
            priority,
            limit_s if limit_s is not None and limit_s > 0 else None,
            self._used(used_pct),
            self._mig(mig, gpus),
        )

    def _mig(self, text: str, gpus: float) -> str:
        """Return the profile that a text names, as ``a100_3g.20gb`` does; nothing if it names none."""
        found = _MIG.search(text)
        if text and found is None:
            self.counted["no such MIG profile: taken as a whole accelerator"] += 1
        if found is not None and gpus > 1:
            self.counted["several MIG instances a job: taken as whole accelerators"] += 1
            return ""
        return found[0] if found else ""

    def _used(self, pct: float | None) -> float | None:
        if pct is None:
            return None
        if not 0 <= pct <= 100:
            self.counted["utilization outside of 0 to 100 %: taken as not known"] += 1
            return None
        return pct / 100

    def _unique(self, id: str) -> str:
        if len(self._seen) >= _MOST_IDS and id not in self._seen:
            self.counted[f"ids after the first {_MOST_IDS:,} different ones: not looked for twice"] += 1
            return id
        seen = self._seen[id] = self._seen.get(id, 0) + 1
        if seen == 1:
            return id
        self.counted["id seen before: numbered"] += 1
        return f"{id}#{seen}"

    def finish(self) -> Counter[str]:
        """Return the counts of the whole file."""
        span = self._last_submit_s - self._shortest_submit_s
        if self._longest_s > span > 0:
            self.counted["jobs longer than the trace's submissions: kept whole"] = 1
        return self.counted


def _why_not(submit_s: float | None, duration_s: float | None, gpus: float | None, cpus: float) -> str:
    if submit_s is None:
        return "no time of submission"
    if duration_s is None:
        return "no duration (it never ran, or still runs)"
    if gpus is None:
        return "no number of accelerators"
    if duration_s < 0:
        return "a duration below zero"
    if gpus < 0 or gpus > _MAX_ACCELERATORS:
        return "an impossible number of accelerators"
    if gpus == 0 and cpus <= 0:
        return "asks for no accelerator"
    return ""


def seconds_of(text: str) -> float | None:
    """Return Slurm's ``[days-]hours:minutes:seconds`` in seconds; None for anything else.

    Two fields are minutes and seconds.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = match.groups()
    return int(days or 0) * 86400.0 + int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def check_columns(header: Mapping[str, object] | list[str], wanted: tuple[str, ...], where: str) -> None:
    """Refuse a file that lacks columns.

    Raises
    ------
    InputError
        Naming those that are missing.
    """
    missing = [column for column in chain(wanted) if column not in header]
    if missing:
        raise InputError(
            what="columns are missing", where=f"{where}:1", found=", ".join(header), allowed=", ".join(wanted),
            fix=f"add {', '.join(missing)}",
        )  # fmt: skip
