"""The Lua, in a plain Lua 5.1 with a made-up job_desc: what it parks, what it leaves alone, and that it never fails."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.slurm.planned import LUA_MODULE

_HARNESS = """\
slurm = {{ SUCCESS = 0, ERROR = -1, log_info = function() end }}
local m = dofile({module})
local job = {{ {job} }}
{before}
local wrapped = m.wrap({inner}, {{ heartbeat = {heartbeat}, min_nodes = 2, max_age_s = 5 }})
local ok, answer = pcall(wrapped, job, {{}}, 0)
local function show(v) if type(v) == "number" then return string.format("%d", v) end return tostring(v) end
print(tostring(ok), show(answer), show(rawget(job, "begin_time")), show(rawget(job, "admin_comment")))
"""
PLAIN = "min_nodes = 4, max_nodes = 4, begin_time = 0, het_job_offset = 4294967294, priority = 4294967294"
ACCEPT = "function() return 0 end"


def run_lua(
    heartbeat: Path, *, job: str = PLAIN, inner: str = ACCEPT, before: str = "", module: Path = LUA_MODULE
) -> tuple[str, str, str, str]:
    """Return: did not raise, the answer, begin_time, admin_comment."""
    text = _HARNESS.format(
        module=json.dumps(str(module)), job=job, inner=inner, before=before, heartbeat=json.dumps(str(heartbeat))
    )
    done = subprocess.run(["lua5.1", "-"], input=text, capture_output=True, text=True, check=True, timeout=20)
    ok, answer, begin, comment = done.stdout.rstrip("\n").split("\t")
    return ok, answer, begin, comment


def beat(folder: Path, text: str | None = None, *, age_s: float = 0, mode: str = "pin", park_s: int = 20) -> Path:
    path = folder / "heartbeat"
    path.write_text(text if text is not None else f"scaleplan 1 {int(time.time() - age_s)} {mode} {park_s}\n")
    return path


def parked(result: tuple[str, str, str, str]) -> bool:
    assert result[:2] == ("true", "0")
    is_parked = result[2] not in ("0", "nil") and "scaleplan:parked" in result[3]
    assert is_parked or (result[2] in ("0", "nil", "1795509298") and "scaleplan:parked" not in result[3])
    return is_parked


def test_a_multi_node_job_is_parked_for_park_s(tmp_path: Path) -> None:
    before = int(time.time())
    result = run_lua(beat(tmp_path, park_s=20))
    assert parked(result)
    assert before + 20 <= int(result[2]) <= int(time.time()) + 20


@pytest.mark.parametrize(
    "job",
    [
        PLAIN + ", req_nodes = 'gpu0001'",
        PLAIN + ", dependency = 'afterok:3'",
        PLAIN + ", reservation = 'maint'",
        PLAIN.replace("begin_time = 0", "begin_time = 1795509298"),
        PLAIN.replace("het_job_offset = 4294967294", "het_job_offset = 0"),
        PLAIN.replace("priority = 4294967294", "priority = 0"),
        PLAIN + ", immediate = 1",
        PLAIN + ", contiguous = 1",
        PLAIN + ", comment = 'please scaleplan: off'",
        PLAIN.replace("4,", "1,"),
        PLAIN.replace("max_nodes = 4", "max_nodes = 8"),
        "min_nodes = 4294967294, num_tasks = 4294967294",
        "",
    ],
)
def test_what_is_left_alone(tmp_path: Path, job: str) -> None:
    assert not parked(run_lua(beat(tmp_path), job=job))


@pytest.mark.parametrize(
    "job",
    [
        "min_nodes = 4294967294, max_nodes = 4294967294, num_tasks = 16, ntasks_per_node = 8, begin_time = 0",
        PLAIN + ", comment = 'scaleplan: tp=8', admin_comment = 'site'",
        "min_nodes = 2, max_nodes = 4294967294",
        PLAIN + ", array_inx = '1-9'",
    ],
)
def test_what_is_parked_too(tmp_path: Path, job: str) -> None:
    result = run_lua(beat(tmp_path), job=job)
    assert parked(result)
    assert result[3] == ("site|scaleplan:parked" if "site" in job else "scaleplan:parked")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "scaleplan 1",
        "scaleplan 1 x pin 20\n",
        "scaleplan 2 {now} pin 20\n",
        "scaleplan 1 {now} observe 20\n",
        "scaleplan 1 {now} pin 0\n",
        "scaleplan 1 {now} pin 99999\n",
        "scaleplan 1 {now} pin",
        "scaleplan 1 99999999999999999999 pin 20\n",
        "\x00" * 4096,
        "x" * 100_000,
    ],
)
def test_a_heartbeat_that_is_none_parks_nothing(tmp_path: Path, text: str) -> None:
    assert not parked(run_lua(beat(tmp_path, text.replace("{now}", str(int(time.time()))))))


@pytest.mark.parametrize(("age_s", "is_parked"), [(0, True), (3, True), (8, False), (3600, False), (-3600, False)])
def test_only_a_fresh_heartbeat_parks(tmp_path: Path, age_s: float, is_parked: bool) -> None:
    assert parked(run_lua(beat(tmp_path, age_s=age_s))) is is_parked


def test_no_heartbeat_no_file_or_a_folder(tmp_path: Path) -> None:
    assert not parked(run_lua(tmp_path / "none"))
    (tmp_path / "folder").mkdir()
    assert not parked(run_lua(tmp_path / "folder"))


@pytest.mark.parametrize(
    "before",
    [
        "setmetatable(job, { __index = function(t, k) error('no field ' .. k) end })",
        "job.begin_time = nil; setmetatable(job, { __newindex = function(t, k, v) error('read only ' .. k) end })",
        "io = nil",
        "os = nil",
        "string = nil",
        "io.open = function() error('disk gone') end",
        "io.open = function() return { read = function() return nil end, close = function() end } end",
        "slurm.log_info = nil; os = nil",
    ],
)
def test_an_error_inside_never_reaches_the_user(tmp_path: Path, before: str) -> None:
    job = "min_nodes = 4, max_nodes = 4"
    lines = before.replace(
        "string = nil",
        "local keep = string; string = setmetatable({}, { __index = function(t, k) \
if k == 'format' then return keep.format end error('no') end })",
    )
    result = run_lua(beat(tmp_path), job=job, before=lines)
    assert result[:2] == ("true", "0")
    assert result[2] == "nil"


def test_the_sites_own_answer_stands(tmp_path: Path) -> None:
    heart = beat(tmp_path)
    assert run_lua(heart, inner="function() return -1 end") == ("true", "-1", "0", "nil")
    assert run_lua(heart, inner="function() return 2005 end")[1] == "2005"
    assert run_lua(heart, inner="function(j) j.begin_time = 1795509298 return 0 end")[2:] == ("1795509298", "nil")
    assert run_lua(heart, inner="function() error('of the site') end")[0] == "false"
    assert parked(run_lua(heart, inner="nil"))


def test_the_job_description_field_that_crashes_slurmctld_is_never_touched() -> None:
    assert "extra" not in LUA_MODULE.read_text()
