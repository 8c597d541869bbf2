"""Each format by a few rows as its tool writes them, and every rule for bad rows."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from planner.traces.mending import Mender, seconds_of
from planner.traces.reading import read_trace, stream_trace
from planner.traces.requests import read_requests
from planner.traces.trace import StreamedJobs
from topologies.errors import InputError


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_table_with_every_kind_of_bad_row(tmp_path: Path) -> None:
    text = """job_id,submit_s,duration_s,gpus,tenant
a,100,10,8,x
b,50,0,1,x
b,60,5,0.5,y
c,-,5,1,y
d,70,,1,y
e,70,-5,1,y
f,70,5,-1,y
g,70,5,0,y
h,70,5
i,70,5,2.5,y
,80,5000,1,y
"""
    trace = read_trace(written(tmp_path, "t.csv", text))
    assert [(j.id, j.submit_s, j.duration_s, j.gpus, j.gpu_milli) for j in trace.jobs] == [
        ("b", 0, 0, 1, 1000),
        ("b#2", 10, 5, 1, 500),
        ("i", 20, 5, 3, 1000),
        ("row12", 30, 5000, 1, 1000),
        ("a", 50, 10, 8, 1000),
    ]
    assert trace.mended == {
        "zero duration: kept, ends as it starts": 1,
        "id seen before: numbered": 1,
        "left out: no time of submission": 1,
        "left out: no duration (it never ran, or still runs)": 1,
        "left out: a duration below zero": 1,
        "left out: an impossible number of accelerators": 1,
        "left out: asks for no accelerator": 1,
        "left out: a row with more or fewer fields than the header": 1,
        "a fraction of several accelerators: rounded up": 1,
        "jobs longer than the trace's submissions: kept whole": 1,
        "rows out of order: sorted by submission": 1,
    }


def test_sacct(tmp_path: Path) -> None:
    text = """JobID|Account|Submit|Start|End|Elapsed|Timelimit|State|AllocTRES
7|ml|2026-01-05T10:00:00|2026-01-05T10:01:00|2026-01-05T11:01:00|01:00:00|1-00:00:00|COMPLETED|cpu=64,gres/gpu:h100=16,gres/gpu=16,node=2
7.batch|ml|2026-01-05T10:00:00|2026-01-05T10:01:00|2026-01-05T11:01:00|01:00:00||COMPLETED|cpu=32,gres/gpu=8
8|ml|2026-01-05T10:00:30|Unknown|Unknown|00:00:00|02:00:00|CANCELLED|
9|bio|2026-01-05T10:02:00|2026-01-05T10:03:00|2026-01-05T10:03:30|00:00:30|UNLIMITED|FAILED|gres/gpu=1
"""
    trace = read_trace(written(tmp_path, "s.txt", text))
    assert [(j.id, j.submit_s, j.duration_s, j.gpus, j.tenant, j.limit_s) for j in trace.jobs] == [
        ("7", 0, 3600, 16, "ml", 86400),
        ("9", 120, 30, 1, "bio", None),
    ]
    assert trace.mended["left out: no duration (it never ran, or still runs)"] == 1


def test_swf_and_gzip(tmp_path: Path) -> None:
    path = tmp_path / "x.swf.gz"
    path.write_bytes(
        gzip.compress(
            b"; Version: 2\n1 0 5 100 8 -1 -1 8 200 -1 1 3 1 -1 -1 -1 -1 -1\n"
            b"2 10 5 -1 -1 -1 -1 8 -1 -1 5 3 1 -1 -1 -1 -1 -1\n3 12 0 7 -1 -1 -1 4 -1 -1 0 -1 1 -1 -1 -1 -1 -1\n9 9\n"
        )
    )
    trace = read_trace(path)
    assert [(j.id, j.submit_s, j.duration_s, j.gpus, j.tenant, j.limit_s) for j in trace.jobs] == [
        ("1", 0, 100, 8, "user3", 200),
        ("3", 12, 7, 4, "", None),
    ]
    assert trace.mended["left out: a line with fewer than 5 fields"] == 1


def test_helios_with_mixed_zones(tmp_path: Path) -> None:
    text = """job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue
1,u,vcA,8,32,1,COMPLETED,2020-04-01 00:00:00,2020-04-01 00:00:05,2020-04-01 00:01:05,60,5
2,u,vcB,1,4,1,FAILED,2020-04-01 08:01:00+08:00,2020-04-01 00:01:00,2020-04-01 00:01:10,10,0
"""
    trace = read_trace(written(tmp_path, "h.csv", text))
    assert [(j.submit_s, j.gpus, j.tenant) for j in trace.jobs] == [(0, 8, "vcA"), (60, 1, "vcB")]
    assert trace.mended["times without a zone beside times with one: taken as UTC"] == 1


def test_acme(tmp_path: Path) -> None:
    text = """job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,duration,queue
k1,u,8,64,960,Pretrain,COMPLETED,2023-05-17 11:00:58+00:00,2023-05-17 11:01:08+00:00,110,10
"""
    (job,) = read_trace(written(tmp_path, "trace_kalos.csv", text)).jobs
    assert (job.gpus, job.duration_s, job.kind) == (64, 110, "Pretrain")


def test_alibaba_pods(tmp_path: Path) -> None:
    text = """name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,creation_time,deletion_time,scheduled_time
p0,6000,12288,1,460,V100M16|V100M32,LS,427061,427161,427071
p1,8000,30517,0,0,,BE,427070,427080,427070
p2,8000,30517,8,1000,,BE,427070,427080,
"""
    trace = read_trace(written(tmp_path, "p.csv", text))
    assert [(j.id, j.duration_s, j.gpus, j.gpu_milli, j.cpu_milli, j.models) for j in trace.jobs] == [
        ("p0", 90, 1, 460, 6000, ("V100M16", "V100M32")),
        ("p1", 10, 0, 1000, 8000, ()),
    ]


def test_philly(tmp_path: Path) -> None:
    attempt = {"start_time": "2017-10-09 07:02:00", "end_time": "2017-10-09 07:03:00",
               "detail": [{"ip": "m1", "gpus": ["gpu0", "gpu1"]}, {"ip": "m2", "gpus": ["gpu0", "gpu1"]}]}  # fmt: skip
    again = {"start_time": "2017-10-09 08:00:00", "end_time": "2017-10-09 08:00:30", "detail": []}
    jobs = [
        {
            "jobid": "x",
            "vc": "v",
            "status": "Pass",
            "submitted_time": "2017-10-09 07:01:55",
            "attempts": [attempt, again],
        },
        {"jobid": "y", "vc": "v", "status": "Killed", "submitted_time": "2017-10-09 07:01:58", "attempts": []},
    ]
    trace = read_trace(written(tmp_path, "cluster_job_log.json", json.dumps(jobs)))
    assert [(j.id, j.gpus, j.duration_s) for j in trace.jobs] == [("x", 4, 90)]
    assert sum(trace.mended.values()) >= 1


def test_rows_are_streamed(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", "job_id,submit_s,duration_s,gpus\n" + "a,1,1,1\n" * 3)
    mend = Mender()
    jobs = stream_trace(path, mend)
    assert next(jobs).id == "a"
    assert not mend.counted
    assert [job.id for job in jobs] == ["a#2", "a#3"]


@pytest.mark.parametrize(
    ("text", "format", "what"),
    [
        ("x,y\n1,2\n", None, "not known"),
        ("x,y\n1,2\n", "helios", "columns are missing"),
        ("x,y\n1,2\n", "nope", "no such trace format"),
        ("", None, "not known"),
        ("job_id,submit_s,duration_s,gpus\n", None, "without usable jobs"),
        ("{}", "philly", "not a Philly"),
        ("[", "philly", "not JSON"),
    ],
)
def test_what_is_no_trace_is_one_error(tmp_path: Path, text: str, format: str | None, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_trace(written(tmp_path, "t.csv", text), format=format)


def test_a_missing_file_and_a_broken_gzip(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_trace(tmp_path / "no.csv")
    (tmp_path / "b.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match="cannot read"):
        read_trace(tmp_path / "b.csv.gz")


@pytest.mark.parametrize(
    ("text", "seconds"), [("1-02:03:04", 93784), ("02:03:04", 7384), ("03:04.5", 184.5), ("UNLIMITED", None)]
)
def test_clock(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_a_long_trace_is_read_a_row_at_a_time_and_gives_the_same_jobs(tmp_path: Path) -> None:
    rows = [f"{'a' if i % 7 == 0 else i},{100 + i},{i % 5},{1 + i % 4},t" for i in range(50)]
    path = written(tmp_path, "t.csv", "\n".join(["job_id,submit_s,duration_s,gpus,tenant", *rows, ""]))
    whole, streamed = read_trace(path), read_trace(path, kept=20)
    assert isinstance(whole.jobs, tuple)
    assert isinstance(streamed.jobs, StreamedJobs)
    assert tuple(streamed.jobs) == tuple(streamed.jobs) == whole.jobs
    assert (len(streamed.jobs), streamed.last_submit_s) == (50, whole.last_submit_s)
    assert streamed.mended.pop("rows read a row at a time, twice: too many to keep") == 50
    assert streamed.mended == whole.mended
    assert streamed.head(3).jobs == whole.jobs[:3]
    assert whole.jobs[4] in streamed.jobs
    shorter = streamed.mapped(lambda job: replace(job, duration_s=1.0), Counter(cut=1))
    assert {job.duration_s for job in shorter.jobs} == {1.0}
    assert shorter.mended["cut"] == 1
    path.write_text("\n".join(["job_id,submit_s,duration_s,gpus,tenant", *reversed(rows), ""]))
    assert isinstance(read_trace(path, kept=20).jobs, tuple)


def test_requests_of_azure_mooncake_and_tables(tmp_path: Path) -> None:
    azure = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,4808,10\n2023-11-16 18:15:46.18,110,0\n,5,5\n"
    )
    found = read_requests(written(tmp_path, "azure.csv", azure))
    assert found.requests.arrival_s.tolist() == pytest.approx([0.0, 0.5])
    assert found.requests.prompt_tokens.tolist() == [110, 4808]
    assert found.mended == {
        "left out: a request without time, prompt or output": 1,
        "requests out of order: sorted by arrival": 1,
    }
    lines = [
        {"timestamp": 0, "input_length": 1200, "output_length": 5, "hash_ids": [0, 1, 2]},
        {"timestamp": 2500, "input_length": 1300, "output_length": 7, "hash_ids": [0, 1, 3]},
    ]
    text = "\n".join([*map(json.dumps, lines), "not json", ""])
    mooncake = read_requests(written(tmp_path, "m.jsonl", text))
    assert mooncake.requests.arrival_s.tolist() == [0.0, 2.5]
    assert mooncake.requests.cached_tokens.tolist() == [0, 1024]  # two blocks of 512 were seen before
    table = read_requests(written(tmp_path, "r.csv", "t_s,prompt_tokens,output_tokens,prefix_hit_blocks\n3,600,1,1\n"))
    assert table.requests.cached_tokens.tolist() == [512]
    for name, text in (("x.csv", "a,b\n1,2\n"), ("e.csv", "t_s,prompt_tokens,output_tokens\n")):
        with pytest.raises(InputError):
            read_requests(written(tmp_path, name, text))


def test_utilization_is_read_where_it_is_told(tmp_path: Path) -> None:
    text = "job_id,submit_s,duration_s,gpus,gpu_util_pct\na,0,1,1,40\nb,0,1,1,140\nc,0,1,1,\n"
    trace = read_trace(written(tmp_path, "t.csv", text))
    assert [job.used_frac for job in trace.jobs] == [0.4, None, None]
    assert trace.mended["utilization outside of 0 to 100 %: taken as not known"] == 1
    sacct = (
        "JobID|Submit|Elapsed|State|AllocTRES|TRESUsageInAve\n"
        "7|2024-01-01T00:00:00|00:10:00|COMPLETED|billing=8,gres/gpu=8|cpu=1,gres/gpumem=3G,gres/gpuutil=62\n"
    )
    assert [job.used_frac for job in read_trace(written(tmp_path, "s.txt", sacct)).jobs] == [0.62]
