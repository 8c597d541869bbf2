"""The formats of traces: one function each, from rows of text to jobs, a row at a time.

``table``
    Columns job_id, submit_s, duration_s, gpus; may have cpus, mem_gb, gpu_type, tenant, status, kind, priority,
    limit_s, gpu_util_pct, mig.
``sacct``
    ``sacct --parsable2`` with JobID, Submit, Elapsed or Start and End, and AllocTRES, ReqTRES or ReqGRES; no steps.
``swf``
    Standard Workload Format (Feitelson; Parallel Workloads Archive), processors taken as accelerators.
``helios``, ``acme``
    Columns gpu_num, submit_time, duration and vc or queue (SenseTime Helios, SC 2021; Shanghai AI Lab Acme, NSDI 2024).
``alibaba``
    Pod lists of gpu-v2023 (and FGD's): name, num_gpu, gpu_milli, cpu_milli, creation_time …
``philly``
    Microsoft's cluster_job_log, JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from planner.traces.mending import Mender, seconds_of
from planner.traces.trace import TraceJob

__all__ = ["COLUMNS", "ROW_READERS", "philly_jobs", "swf_jobs"]

_TypedGpu = re.compile(r"(?:gres/)?gpu(?::([\w.-]+))?[=:](\d+)")
_Used = re.compile(r"gres/gpuutil=(\d+(?:\.\d+)?)")  # per cent, from Slurm 23.11 on
_Cut = re.compile(r"\dg\.\d+gb")  # a MIG instance, as in gres/gpu:1g.10gb=1
_Row = Mapping[str, str]
RowReader = Callable[[Mender, int, _Row], TraceJob | None]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text not in (None, "") else None
    except ValueError:
        return None


def _table(mend: Mender, row: int, cells: _Row) -> TraceJob | None:
    kinds = cells.get("gpu_type") or ""
    return mend.job(
        row=row,
        id=cells["job_id"],
        submit_s=mend.time(cells["submit_s"]),
        duration_s=_number(cells["duration_s"]),
        gpus=_number(cells["gpus"]),
        cpus=_number(cells.get("cpus")) or 0.0,
        memory_mib=1024 * (_number(cells.get("mem_gb")) or 0.0),
        models=tuple(kind for kind in kinds.split("|") if kind),
        tenant=cells.get("tenant") or "",
        status=cells.get("status") or "",
        kind=cells.get("kind") or "",
        priority=_number(cells.get("priority")) or 0.0,
        limit_s=_number(cells.get("limit_s")),
        used_pct=_number(cells.get("gpu_util_pct")),
        mig=cells.get("mig") or "",
    )


def _sacct(mend: Mender, row: int, cells: _Row) -> TraceJob | None:
    if "." in cells["JobID"]:
        return None  # a step of a job
    elapsed = seconds_of(cells.get("Elapsed") or "")
    start, end = mend.time(cells.get("Start") or ""), mend.time(cells.get("End") or "")
    if elapsed is None and start is not None and end is not None:
        elapsed = end - start
    if start is None and "Start" in cells:
        elapsed = None
    asked = cells.get("AllocTRES") or cells.get("ReqTRES") or cells.get("ReqGRES") or ""
    found = _TypedGpu.findall(asked)
    plain = [int(number) for kind, number in found if not kind]
    cut = next((kind for kind, _ in found if _Cut.search(kind)), "")
    gpus = max(plain) if plain else sum(int(number) for _, number in found)
    used = _Used.search(cells.get("TRESUsageInAve") or "")
    return mend.job(
        row=row,
        id=cells["JobID"],
        submit_s=mend.time(cells["Submit"]),
        duration_s=elapsed,
        gpus=float(gpus),
        cpus=0.0,
        tenant=cells.get("Account") or cells.get("User") or "",
        status=cells.get("State") or "",
        priority=_number(cells.get("Priority")) or 0.0,
        limit_s=seconds_of(cells.get("Timelimit") or ""),
        used_pct=_number(used[1]) if used else None,
        mig=cut,
    )


def _helios(mend: Mender, row: int, cells: _Row) -> TraceJob | None:
    return mend.job(
        row=row,
        id=cells["job_id"],
        submit_s=mend.time(cells["submit_time"]),
        duration_s=_number(cells["duration"]),
        gpus=_number(cells["gpu_num"]),
        tenant=cells.get("vc") or cells.get("queue") or cells.get("user") or "",
        status=cells.get("state") or "",
        kind=cells.get("type") or "",
    )


def _alibaba(mend: Mender, row: int, cells: _Row) -> TraceJob | None:
    created, scheduled = mend.time(cells["creation_time"]), mend.time(cells.get("scheduled_time") or "")
    deleted = mend.time(cells["deletion_time"])
    gpus, milli = _number(cells["num_gpu"]), _number(cells["gpu_milli"])
    return mend.job(
        row=row,
        id=cells["name"],
        submit_s=created,
        duration_s=None if deleted is None or scheduled is None else deleted - scheduled,
        gpus=gpus,
        gpu_milli=int(milli) if gpus == 1 and milli else None,
        cpus=(_number(cells["cpu_milli"]) or 0.0) / 1000,
        memory_mib=_number(cells.get("memory_mib")) or 0.0,
        models=tuple(model for model in (cells.get("gpu_spec") or "").split("|") if model),
        tenant=cells.get("qos") or "",
        status=cells.get("pod_phase") or "",
    )


ROW_READERS: Mapping[str, RowReader] = {
    "table": _table,
    "sacct": _sacct,
    "helios": _helios,
    "acme": _helios,
    "alibaba": _alibaba,
}

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "table": ("job_id", "submit_s", "duration_s", "gpus"),
    "sacct": ("JobID", "Submit"),
    "acme": ("job_id", "gpu_num", "submit_time", "duration", "type"),
    "helios": ("job_id", "gpu_num", "submit_time", "duration"),
    "alibaba": ("name", "num_gpu", "gpu_milli", "cpu_milli", "creation_time", "deletion_time"),
}
"""Columns that a format must have; the first whose columns are all there is the format of a file."""


def swf_jobs(mend: Mender, lines: Iterator[str]) -> Iterator[TraceJob]:
    """Read the Standard Workload Format: 18 fields a line, ``-1`` for what is not known, comments after ``;``."""
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        fields = [_number(text) for text in line.split()]
        if len(fields) < 5:
            mend.counted["left out: a line with fewer than 5 fields"] += 1
            continue
        fields += [-1.0] * (18 - len(fields))
        known = [value if value is not None and value >= 0 else None for value in fields]
        wanted = known[4] if known[4] is not None else known[7]
        job = mend.job(
            row=number,
            id=f"{fields[0]:.0f}" if fields[0] is not None else "",
            submit_s=fields[1],
            duration_s=known[3],
            gpus=wanted,
            tenant="" if known[11] is None else f"user{known[11]:.0f}",
            status="" if known[10] is None else f"{known[10]:.0f}",
            limit_s=known[8],
        )
        if job is not None:
            yield job


def philly_jobs(mend: Mender, document: Any) -> Iterator[TraceJob]:
    """Read Microsoft's ``cluster_job_log``: attempts of a job are added up, its GPUs are those of the first."""
    for number, entry in enumerate(document, 1):
        attempts = [a for a in entry.get("attempts") or () if a.get("start_time") and a.get("end_time")]
        spans = [
            (end or 0.0) - (start or 0.0)
            for start, end in ((mend.time(a["start_time"]), mend.time(a["end_time"])) for a in attempts)
        ]
        gpus = sum(len(detail.get("gpus") or ()) for detail in attempts[0].get("detail") or ()) if attempts else 0
        job = mend.job(
            row=number,
            id=str(entry.get("jobid") or ""),
            submit_s=mend.time(str(entry.get("submitted_time") or "")),
            duration_s=sum(spans) if spans else None,
            gpus=float(gpus),
            tenant=str(entry.get("vc") or ""),
            status=str(entry.get("status") or ""),
        )
        if job is not None:
            yield job
