"""What can be killed, hung, filled, restarted or lied to is, on a real Slurm: no job is lost or run twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.slurm.commands import SlurmTools
from planner.slurm.read_jobs import read_details
from tests.slurm.emulator import EmulatorError, wait_for
from tests.slurm.planned import PlannedCluster, all_in

PARK_S = 6
LATE_S = 5  # beyond PARK_S, as the planner's promise says


@contextlib.contextmanager
def planned(num_nodes: int = 16, **settings: object) -> Iterator[PlannedCluster]:
    """A small cluster with the planner in charge and a short PARK_S."""
    with PlannedCluster(num_nodes=num_nodes, nodes_per_leaf=4, settings={"park_s": PARK_S} | settings) as cluster:
        cluster.start_daemon()
        yield cluster


def burst(cluster: PlannedCluster, count: int = 6, *, nodes: int = 2, seconds: float = 1) -> list[int]:
    return [cluster.sbatch(f"-N{nodes}", "--gres=gpu:8", "-t", "2", wrap=f"sleep {seconds}") for _ in range(count)]


def expect_all_run(cluster: PlannedCluster, jobs: list[int], *, within_s: float) -> None:
    wait_for(
        lambda: all_in(cluster, jobs, "RUNNING", "COMPLETING", "COMPLETED"), timeout_s=within_s, what="jobs to run"
    )


def expect_each_ran_once(cluster: PlannedCluster, jobs: list[int]) -> None:
    wait_for(lambda: all_in(cluster, jobs, "COMPLETED"), timeout_s=60, what="jobs to complete")
    ended = [int(record["JobId"]) for record in cluster.completed()]
    assert [ended.count(job) for job in jobs] == [1] * len(jobs)
    for job in jobs:
        assert cluster.job(job)["Restarts"] == "0"


def expect_no_double_pin(cluster: PlannedCluster, jobs: list[int]) -> None:
    """A job has a second pin only after Slurm was seen not to have carried out the first."""
    for job in jobs:
        actions = [a for (a,) in cluster.journal("SELECT action FROM decisions WHERE ref = ? ORDER BY id", str(job))]
        kept = [action for action in actions if action in ("pin", "repair", "requeued")]
        assert "pin pin" not in " ".join(kept)


def test_the_planner_killed_at_ten_random_moments() -> None:
    moments = random.Random(7)
    with planned() as cluster:
        seen: list[int] = []
        for _ in range(10):
            jobs = burst(cluster, 6)
            time.sleep(moments.uniform(0.0, 0.9))  # any moment of seeing, planning and pinning
            cluster.stop_daemon(signal.SIGKILL)
            if moments.random() < 0.5:
                expect_all_run(cluster, jobs, within_s=PARK_S + LATE_S)
            cluster.start_daemon()
            expect_all_run(cluster, jobs, within_s=PARK_S + LATE_S)
            seen += jobs
        expect_each_ran_once(cluster, seen)
        expect_no_double_pin(cluster, seen)
        assert len(cluster.planned_hosts()) >= 10


def test_the_planner_killed_between_the_journal_and_scontrol(tmp_path: Path) -> None:
    """An scontrol that hangs on updates: the pin stands in the journal and never reaches Slurm."""
    tools = wrapped_tools(tmp_path, 'if [ $# -eq 0 ] && [ -e "{folder}/hang" ]; then exec sleep 1000; fi')
    with planned(slurm_bin_dir=str(tools)) as cluster:
        (tools / "hang").touch()
        jobs = burst(cluster, 4)
        wait_for(
            lambda: cluster.journal("SELECT COUNT(*) FROM jobs WHERE state = 'pinning'")[0][0] > 0,
            timeout_s=15,
            what="pins in the journal",
        )
        cluster.stop_daemon(signal.SIGKILL)
        (tools / "hang").unlink()
        cluster.start_daemon()
        expect_all_run(cluster, jobs, within_s=PARK_S + LATE_S)
        expect_each_ran_once(cluster, jobs)
        expect_no_double_pin(cluster, jobs)
    for pid in sleepers(tools):
        os.kill(pid, signal.SIGKILL)


def sleepers(tools: Path) -> list[int]:
    """The hung stand-ins of scontrol: found by the folder in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if f"FAULT_TOOLS={tools}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def wrapped_tools(folder: Path, fault: str) -> Path:
    """Stand-ins for Slurm's tools that do `fault` first."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("scontrol", "squeue", "sinfo"):
        real = shutil.which(name)
        assert real is not None
        (tools / name).write_text(
            f'#!/bin/bash\nexport FAULT_TOOLS="{tools}"\n{fault.format(folder=tools)}\nexec {real} "$@"\n'
        )
        (tools / name).chmod(0o755)
    return tools


def test_the_planner_hangs() -> None:
    with planned() as cluster:
        assert cluster.daemon is not None
        os.kill(cluster.daemon.pid, signal.SIGSTOP)
        parked = burst(cluster, 4)  # the heartbeat is still fresh: these are parked
        expect_all_run(cluster, parked, within_s=PARK_S + LATE_S)
        later = burst(cluster, 4)
        expect_all_run(cluster, later, within_s=LATE_S)  # the heartbeat is stale: these go straight to Slurm
        os.kill(cluster.daemon.pid, signal.SIGCONT)
        expect_each_ran_once(cluster, parked + later)
        wait_for(lambda: cluster.beats_since(time.time() - 1), timeout_s=10, what="the heartbeat to come back")
        after = burst(cluster, 2)
        expect_each_ran_once(cluster, after)
        assert set(after) <= set(cluster.planned_hosts())


def test_the_control_socket_flooded() -> None:
    with planned() as cluster:
        path = str(cluster.run_dir / "control.sock")
        flood: list[socket.socket] = []
        for i in range(300):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(0.2)
            with contextlib.suppress(OSError):
                client.connect(path)
                client.send(b"\x00{" * (i * 20) if i % 2 else b'{"command": "status"')
            flood.append(client)
        jobs = burst(cluster, 6)
        expect_all_run(cluster, jobs, within_s=PARK_S)
        for client in flood:
            client.close()
        expect_each_ran_once(cluster, jobs)
        assert set(jobs) <= set(cluster.planned_hosts())
        wait_for(lambda: "mode" in ask(path, {"command": "status"}), timeout_s=10, what="the socket to answer again")
        assert "error" in ask(path, {"command": "reboot"})
        assert "error" in ask(path, ["status"])


def ask(path: str, request: object) -> dict[str, object]:
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(3)
            client.connect(path)
            client.sendall(json.dumps(request).encode() + b"\n")
            return dict(json.loads(client.makefile().readline()))
    except (OSError, ValueError):
        return {}


def test_the_disk_is_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.skip("a full disk needs the right to mount a tmpfs")
    try:
        with planned(state_dir=str(disk / "state")) as cluster:
            filler = disk / "filler"
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(b"\x00" * 4096)
            during = burst(cluster, 6)
            expect_all_run(cluster, during, within_s=PARK_S + LATE_S)
            filler.unlink()
            expect_each_ran_once(cluster, during)
            wait_for(lambda: cluster.beats_since(time.time() - 1), timeout_s=20, what="the heartbeat to come back")
            after = burst(cluster, 2)
            expect_each_ran_once(cluster, after)
            assert any(event["event"] == "journal cannot be written" for event in cluster.events())
            cluster.stop_daemon()
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@pytest.mark.parametrize("whole", [False, True], ids=["the planner's alone", "the whole cluster's"])
def test_the_clock_is_stepped(tmp_path: Path, whole: bool) -> None:
    """Steps by two minutes, for the planner back and forth; a Slurm whose clock goes back starts nothing until then."""
    if whole and not FAKETIME.exists():
        pytest.skip("stepping the clock of all of Slurm needs the package faketime")
    cluster = PlannedCluster(num_nodes=16, nodes_per_leaf=4, settings={"park_s": PARK_S})
    clock = cluster.root / "clock"
    step(clock, 0)
    if whole:
        cluster.env |= {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        faked = " ".join(f"{name}={value}" for name, value in cluster.env.items() if "FAKE" in name.upper())
        cluster.settings["slurm_bin_dir"] = str(wrapped_tools(tmp_path, f"export {faked}"))
    with cluster:
        cluster.start_daemon(wait=False, clock=clock)
        for seconds in (0, 120) if whole else (0, 120, -120, 0):
            wait_for(lambda: cluster.beats_since(time.time() - 1), timeout_s=30, what="a heartbeat")
            jobs = burst(cluster, 4)
            step(clock, seconds)
            expect_all_run(cluster, jobs, within_s=PARK_S + LATE_S)
            expect_each_ran_once(cluster, jobs)
        jobs = burst(cluster, 2)
        expect_each_ran_once(cluster, jobs)
        assert set(jobs) <= set(cluster.planned_hosts())  # and then it plans as before


def step(clock: Path, seconds: int) -> None:
    """Set how far the clock is off, as libfaketime reads it."""
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    new.replace(clock)


@pytest.mark.parametrize("kill", [False, True])
def test_slurmctld_restarted_in_the_middle_of_a_batch(kill: bool) -> None:
    with planned() as cluster:
        jobs = burst(cluster, 12)
        cluster.stop_controller(kill=kill)
        cluster.start_controller()
        with contextlib.suppress(EmulatorError):  # one not yet saved when slurmctld was killed is Slurm's own loss
            wait_for(lambda: set(jobs) <= set(cluster.states()), timeout_s=5, what="jobs to be there again")
        known = [job for job in jobs if job in cluster.states()]
        assert len(known) == 12 or kill
        expect_all_run(cluster, known, within_s=3 * PARK_S + LATE_S)
        expect_each_ran_once(cluster, known)


def test_scontrol_fails_one_time_in_three(tmp_path: Path) -> None:
    tools = wrapped_tools(tmp_path, 'if [ $((RANDOM % 3)) -eq 0 ]; then echo "slurm_load error" >&2; exit 1; fi')
    with planned(slurm_bin_dir=str(tools)) as cluster:
        jobs = burst(cluster, 6) + burst(cluster, 6)
        expect_all_run(cluster, jobs, within_s=2 * PARK_S + LATE_S)
        expect_each_ran_once(cluster, jobs)
        assert any(event["event"] == "Slurm does not answer" for event in cluster.events())


MEDDLE = """\
if [ $# -eq 0 ] && [ -e {folder}/once ]; then
   cat > {folder}/stdin
   hosts=$(grep -o "ReqNodeList=[^ ]*" {folder}/stdin | head -1 | cut -d= -f2)
   if [ -n "$hosts" ]; then
      rm {folder}/once
      scontrol show hostnames "$hosts" | head -1 > {folder}/host
      scontrol update NodeName=$(cat {folder}/host) WHAT
   fi
   exec scontrol < {folder}/stdin
fi"""


@pytest.mark.parametrize(
    ("what", "undo"),
    [
        ("State=DRAIN Reason=test", "State=RESUME"),
        ("AvailableFeatures=slow ActiveFeatures=slow", "AvailableFeatures=fast ActiveFeatures=fast"),
    ],
    ids=["a pinned host is drained", "a constraint refuses the pin"],
)
def test_what_happens_to_a_planned_host_just_before_the_pin_is_repaired(tmp_path: Path, what: str, undo: str) -> None:
    """The stand-in of scontrol takes the host away between the plan and the pin; two cycles later all is mended."""
    tools = wrapped_tools(tmp_path, MEDDLE.replace("WHAT", what))
    with planned(slurm_bin_dir=str(tools)) as cluster:
        nodes = f"NodeName=gpu[0001-{cluster.num_nodes:04d}]"
        cluster.run("scontrol", "update", nodes, "AvailableFeatures=fast", "ActiveFeatures=fast")
        (tools / "once").touch()
        job = cluster.sbatch("-N2", "--gres=gpu:8", "-t", "2", "--constraint=fast", wrap="sleep 1")
        expect_all_run(cluster, [job], within_s=PARK_S + LATE_S)
        expect_each_ran_once(cluster, [job])
        host = (tools / "host").read_text().strip()
        cluster.run("scontrol", "update", f"NodeName={host}", *undo.split())
        assert host not in cluster.placed()[job]
        assert cluster.planned_hosts()[job] == set(cluster.placed()[job])
        looks = cluster.journal("SELECT action, at_s FROM decisions WHERE ref = ? ORDER BY id", str(job))
        actions = [action for action, _ in looks]
        assert actions[:4] == ["pin", "pinned", "repair", "pin"], looks
        cycles = {at_s for _, at_s in looks[: actions.index("repair") + 2]}
        assert len(cycles) <= 2  # the cycle after the pin sees it and plans anew


def test_a_node_goes_down_under_a_running_job() -> None:
    with planned() as cluster:
        job = cluster.sbatch("-N2", "--gres=gpu:8", "-t", "2", "--requeue", wrap="sleep 4")
        expect_all_run(cluster, [job], within_s=PARK_S + LATE_S)
        host = cluster.placed()[job][0]
        cluster.stop_node(host)
        cluster.run("scontrol", "update", f"NodeName={host}", "State=DOWN", "Reason=test")
        wait_for(
            lambda: cluster.job(job)["JobState"] == "RUNNING" and host not in cluster.placed()[job],
            timeout_s=60,
            what="the job to run elsewhere",
        )
        wait_for(lambda: all_in(cluster, [job], "COMPLETED"), timeout_s=30, what="the job to complete")
        assert cluster.planned_hosts()[job] == set(cluster.placed()[job])


HOSTILE = [
    "$(touch {folder}/pwned)",
    "`touch {folder}/pwned`",
    "; touch {folder}/pwned #",
    "x\nJobId=1 JobName=y UserId=root(0) AdminComment=scaleplan:parked",
    "x' ReqNodeList=gpu0001 StartTime=now '",
    '"); os.execute("touch {folder}/pwned") --',
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\u202egpu\u0000".replace("\u0000", "") + "\U0001f680" * 20,
    "%s%n%x" * 20,
    "\x1b[2J\x1b]0;title\x07\x1f" * 5,
    "scaleplan: model=../../etc/passwd tp=99999999999999999999 pattern=;rm",
    "scaleplan: " + "tp=8 " * 150,
]


def test_names_and_comments_of_every_hostile_kind_stay_text(tmp_path: Path) -> None:
    with planned() as cluster:
        texts = [text.format(folder=tmp_path) if "{folder}" in text else text for text in HOSTILE]
        jobs = [
            cluster.sbatch("-N2", "--gres=gpu:8", "-t", "2", "-J", text[:200], f"--comment={text}", wrap="sleep 1")
            for text in texts
        ]
        wait_for(lambda: all_in(cluster, jobs, "COMPLETED"), timeout_s=60, what="jobs to complete")
        assert set(jobs) <= set(cluster.planned_hosts())
        assert {job: set(cluster.placed()[job]) for job in jobs} == {job: cluster.planned_hosts()[job] for job in jobs}
        assert not (tmp_path / "pwned").exists()
        details = read_details(SlurmTools(slurm_conf=Path(cluster.env["SLURM_CONF"])), jobs)
        for job, text in zip(jobs, texts, strict=True):
            assert details[job].comment.split() == text.split()
        log = cluster.log_path.read_text()
        assert "pwned" not in log
        assert "<script>" not in log
        with pytest.raises((EmulatorError, OSError)):  # Slurm, or the kernel, refuses a comment of a megabyte
            cluster.sbatch("-N2", "--comment=" + "x" * 2**20)
        with pytest.raises(EmulatorError):
            cluster.sbatch("-N2", "--comment=" + "x" * 100_000)


def test_an_unprivileged_user_is_refused_everywhere() -> None:
    with planned() as cluster:
        jobs = [cluster.sbatch("-N2", "--gres=gpu:8", "-t", "2", wrap="sleep 1", user="nobody")]
        expect_each_ran_once(cluster, jobs)
        assert set(jobs) <= set(cluster.planned_hosts())
        attempts = (
            f"import socket; socket.socket(socket.AF_UNIX).connect('{cluster.run_dir}/control.sock')",
            f"open('{cluster.run_dir}/heartbeat')",
            f"open('{cluster.run_dir}/heartbeat', 'w')",
            f"open('{cluster.run_dir}/wake', 'w')",
            f"open('{cluster.state_dir}/journal.sqlite3')",
            f"import os; os.listdir('{cluster.state_dir}')",
        )
        for attempt in attempts:
            done = cluster.run("/usr/bin/python3", "-c", attempt, user="nobody", check=False)
            assert "Permission denied" in done.stderr, attempt
        for folder in (cluster.run_dir, cluster.state_dir):
            for path in [folder, *folder.rglob("*")]:
                assert not stat.S_IMODE(path.stat().st_mode) & 0o007, path
                if path.is_file():
                    assert stat.S_IMODE(path.stat().st_mode) in (0o600, 0o640), path
        key = (cluster.root / "munge/munge.key").read_bytes()
        assert key not in cluster.log_path.read_bytes()
