"""The operator's commands, on a real Slurm: install by hand as told, observe, then pin."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.emulator import wait_for
from tests.slurm.planned import PlannedCluster, all_in
from topologies.formats.slurm_files import check_topology_conf

SITE_LUA = """\
-- the site's own rules
function slurm_job_submit(job_desc, part_list, submit_uid)
   if job_desc.name == "forbidden" then
      slurm.log_user("not here")
      return slurm.ERROR
   end
   job_desc.admin_comment = "site-text"
   return slurm.SUCCESS
end

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
   return slurm.SUCCESS
end

slurm.log_info("initialized")
return slurm.SUCCESS
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[PlannedCluster]:
    """A site with a job_submit.lua of its own and nothing of ours."""
    made = PlannedCluster(num_nodes=16, nodes_per_leaf=4, settings={"park_s": 10})
    made.lua = SITE_LUA
    with made:
        yield made


def folders(cluster: PlannedCluster) -> list[str]:
    return [
        "-c",
        str(cluster.configuration()),
        "--etc-dir",
        str(cluster.root / "own"),
        "--unit-dir",
        str(cluster.root / "units"),
    ]


def test_install_shows_applies_and_takes_back(cluster: PlannedCluster) -> None:
    submit = cluster.etc / "job_submit.lua"
    shown = cluster.scaleplan("install", "--dry-run", *folders(cluster))
    assert submit.read_text() == SITE_LUA
    assert not (cluster.root / "own").exists()
    assert "+-- >>> scaleplan >>>" in shown.stdout
    assert "undo: mv" in shown.stdout
    cluster.scaleplan("install", "--apply", *folders(cluster))
    merged = submit.read_text()
    head, _, rest = merged.partition("-- >>> scaleplan >>>\n")
    assert head + rest.partition("-- <<< scaleplan <<<\n")[2] == SITE_LUA  # the rest is as it was, to the letter
    assert (cluster.etc / "job_submit.lua.before-scaleplan").read_text() == SITE_LUA
    cluster.scaleplan("install", "--apply", *folders(cluster))
    assert submit.read_text() == merged  # a second time changes nothing
    cluster.scaleplan("install", "--remove", "--apply", *folders(cluster))
    assert submit.read_text() == SITE_LUA
    assert not (cluster.etc / "scaleplan_submit.lua").exists()
    cluster.scaleplan("install", "--apply", *folders(cluster))
    hook = cluster.root / "own/epilog_slurmctld.sh"
    assert os.access(hook, os.X_OK)
    subprocess.run([hook], check=True)
    unit = (cluster.root / "units/scaleplan-slurm.service").read_text()
    assert "User=root" in unit
    assert "slurm release" in unit


def test_the_sites_script_and_ours_work_together(cluster: PlannedCluster) -> None:
    cluster.start_daemon()
    refused = cluster.run("sbatch", "-N2", "-J", "forbidden", "--wrap", "true", check=False)
    assert refused.returncode != 0
    job = cluster.sbatch("-N2", "--gres=gpu:8", "-t", "2", wrap="sleep 1")
    wait_for(lambda: all_in(cluster, [job], "COMPLETED"), timeout_s=40, what="the job to complete")
    assert job in cluster.planned_hosts()
    assert "AdminComment=site-text|scaleplan:pinned" in cluster.run("scontrol", "-o", "show", "job", str(job)).stdout


def test_status_why_report_and_doctor(cluster: PlannedCluster) -> None:
    config = ["-c", str(cluster.configuration())]
    job = cluster.sbatch("-N4", "--gres=gpu:8", "-t", "2", wrap="sleep 1")
    wait_for(lambda: all_in(cluster, [job], "COMPLETED"), timeout_s=40, what="the job to complete")
    wait_for(
        lambda: "ended" in cluster.scaleplan("why", str(job), *config).stdout, timeout_s=10, what="the end of the story"
    )
    story = cluster.scaleplan("why", str(job), *config).stdout
    assert "was given gpu[" in story
    assert "on the planned hosts" in story
    status = json.loads(cluster.scaleplan("status", "--json", *config).stdout)
    assert status["mode"] == "pin"
    assert status["metrics"]["ran_as_planned_total"] >= 1
    assert cluster.scaleplan("why", "999999", *config, check=False).returncode == 1
    assert "jobs pinned" in cluster.scaleplan("report", *config).stdout
    doctor = cluster.scaleplan("doctor", *config)
    assert "fault" not in doctor.stdout
    assert "the heartbeat is fresh" in doctor.stdout


def test_plan_shows_and_changes_nothing_and_slots_say_what_blocks(cluster: PlannedCluster) -> None:
    config = ["-c", str(cluster.configuration())]
    blockers = [
        cluster.sbatch(f"-w{host}", "--gres=gpu:8", wrap="sleep 20") for host in ("gpu0001", "gpu0005", "gpu0009")
    ]
    wait_for(lambda: all_in(cluster, blockers, "RUNNING"), timeout_s=20, what="blockers to run")
    slots = json.loads(cluster.scaleplan("advise", "--slots", "32", "--json", *config).stdout)
    assert (slots["slots"], slots["slots_if_empty"], slots["num_nodes"], slots["across"]) == (1, 4, 4, 2)
    first = slots["groups"][0]
    assert first["blockers"] == [[str(blockers[0]), 1]]
    assert f"job {blockers[0]} (1 nodes)" in cluster.scaleplan("advise", "--slots", "32", *config).stdout
    cluster.stop_daemon()
    waiting = cluster.sbatch("-N14", "--gres=gpu:8", wrap="true")
    rows = json.loads(cluster.scaleplan("plan", "--dry-run", "--json", *config).stdout)["jobs"]
    assert [row["job"] for row in rows] == [str(waiting)]
    assert "13" in rows[0]["reason"]
    assert "scaleplan" not in cluster.run("scontrol", "-o", "show", "job", str(waiting)).stdout
    cluster.run("scancel", *map(str, [*blockers, waiting]))
    wait_for(lambda: all_in(cluster, blockers, "CANCELLED"), timeout_s=20, what="blockers to end")


def test_observe_writes_what_it_would_have_done_and_touches_nothing_else(cluster: PlannedCluster) -> None:
    cluster.settings["mode"] = "observe"
    cluster.start_daemon()
    try:
        job = cluster.sbatch("-N4", "--gres=gpu:8", "-t", "2", wrap="sleep 3")
        wait_for(
            lambda: "scaleplan:would=gpu[" in cluster.run("scontrol", "-o", "show", "job", str(job)).stdout,
            timeout_s=20,
            what="the admin comment",
        )
        record = cluster.job(job)
        assert record["ReqNodeList"] == "(null)"
        assert record["SubmitTime"] == record["EligibleTime"]
        assert cluster.journal("SELECT action FROM decisions WHERE ref = ?", str(job)) == [("would",)]
        report = json.loads(cluster.scaleplan("report", "--json", "-c", str(cluster.configuration())).stdout)
        assert report["jobs observed"] == 1
    finally:
        cluster.stop_daemon()
        cluster.settings["mode"] = "pin"


def test_prefer_runs_jobs_without_a_node_list(cluster: PlannedCluster) -> None:
    cluster.settings["mode"] = "prefer"
    cluster.start_daemon()
    try:
        job = cluster.sbatch("-N4", "--gres=gpu:8", "-t", "2", wrap="sleep 1")
        wait_for(lambda: all_in(cluster, [job], "COMPLETED"), timeout_s=40, what="the job to complete")
        record = cluster.job(job)
        assert record["ReqNodeList"] == "(null)"
        assert record["Switches"].startswith("1@")
        assert len({cluster.leaf_of(host) // 1 for host in cluster.placed()[job]}) == 1
    finally:
        cluster.stop_daemon()
        cluster.settings["mode"] = "pin"


def test_release_frees_what_a_dead_planner_left(cluster: PlannedCluster) -> None:
    cluster.settings["park_s"] = 600
    cluster.start_daemon()
    blocker = cluster.sbatch("-N16", "-w", "gpu[0001-0016]", "--gres=gpu:8", wrap="sleep 8")
    wait_for(lambda: all_in(cluster, [blocker], "RUNNING"), timeout_s=20, what="the blocker to run")
    job = cluster.sbatch("-N2", "--gres=gpu:8", wrap="true")
    wait_for(lambda: cluster.job(job)["Reason"] == "BeginTime", timeout_s=10, what="the job to be parked")
    cluster.stop_daemon(9)
    config = ["-c", str(cluster.configuration())]
    assert cluster.scaleplan("release", "--all", "--dry-run", *config).stdout.split("\n")[1] == str(job)
    cluster.scaleplan("release", "--all", *config)
    wait_for(lambda: all_in(cluster, [job], "COMPLETED"), timeout_s=40, what="the job to run long before its 600 s")
    cluster.settings["park_s"] = 10


def test_a_written_topology_is_read_by_slurm(cluster: PlannedCluster, tmp_path: Path) -> None:
    """A fabric with Slurm's names, written, checked, and given to a slurmctld that is restarted."""
    own = (cluster.etc / "topology.conf").read_text()
    assert check_topology_conf(own, known=set(cluster.node_names)) == []
    from planner.slurm.commands import SlurmTools
    from planner.slurm.read_site import read_nodes
    from planner.slurm.read_topology import read_topology
    from planner.slurm.room import build_room
    from planner.slurm.slurm_fabric import fabric_of_room
    from topologies.formats.slurm_files import conf_text, tree_of_fabric

    tools = SlurmTools(slurm_conf=Path(cluster.env["SLURM_CONF"]))
    before = read_topology(tools)
    text = conf_text(tree_of_fabric(fabric_of_room(build_room(read_nodes(tools), before))))
    assert check_topology_conf(text, known=set(cluster.node_names)) == []
    cluster.stop_controller()
    (cluster.etc / "topology.conf").write_text(text)
    cluster.start_controller()
    after = read_topology(tools)
    assert {leaf.hosts for leaf in after.leaves} == {leaf.hosts for leaf in before.leaves}


def test_rank_order_reaches_srun_through_the_host_file(cluster: PlannedCluster, tmp_path: Path) -> None:
    folder = cluster.root / "hosts"
    folder.mkdir(exist_ok=True)
    cluster.settings["host_file_dir"] = str(folder)
    cluster.start_daemon()
    out = cluster.root / "ranks"
    line = cluster.scaleplan("hostfile", "-c", str(cluster.configuration())).stdout.strip()
    script = cluster.root / "job.sh"
    script.write_text(
        f"#!/bin/bash\nsleep 0.5\n{line}\n"
        f"cp \"$SLURM_HOSTFILE\" {out}.file\nsrun -m arbitrary bash -c 'echo $SLURM_PROCID $SLURMD_NODENAME' > {out}\n"
    )
    done = cluster.run(
        "sbatch", "--parsable", "-N3", "--ntasks-per-node=2", "--gres=gpu:8", "-o", f"{out}.log", str(script)
    )
    job = int(done.stdout)
    wait_for(lambda: all_in(cluster, [job], "COMPLETED", "FAILED"), timeout_s=60, what="the job to end")
    [(planned,)] = cluster.journal("SELECT hosts FROM decisions WHERE action = 'pin' AND ref = ?", str(job))
    expected = [host for host in planned.split() for _ in range(2)]
    assert Path(f"{out}.file").read_text().split() == expected, Path(f"{out}.log").read_text()
    ranks = dict(line.split() for line in out.read_text().splitlines())
    assert [ranks[str(rank)] for rank in range(6)] == expected
