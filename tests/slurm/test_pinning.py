"""Park, plan, pin on a real Slurm."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from planner.slurm.read_jobs import parse_time
from tests.slurm.emulator import wait_for
from tests.slurm.planned import PlannedCluster, all_in
from topologies.hostlist import expand_hosts


@pytest.fixture(scope="module")
def cluster() -> Iterator[PlannedCluster]:
    """64 nodes of 8 GPUs with the planner in charge."""
    with PlannedCluster(num_nodes=64) as planned:
        planned.start_daemon()
        yield planned


def finish(cluster: PlannedCluster, jobs: list[int], *, timeout_s: float = 120) -> None:
    wait_for(lambda: all_in(cluster, jobs, "COMPLETED"), timeout_s=timeout_s, what="all jobs to complete")


def test_200_jobs_in_a_burst_run_exactly_where_they_were_planned(cluster: PlannedCluster) -> None:
    """None lost, stuck, or run twice; the journal and Slurm's own accounting agree on hosts, times and ends of all."""
    sizes = [2, 3, 4, 8] * 50
    jobs = [cluster.sbatch(f"-N{n}", "--gres=gpu:8", "-t", "2", wrap="sleep 1") for n in sizes]
    finish(cluster, jobs, timeout_s=250)
    own = [record for record in cluster.completed() if int(record["JobId"]) in jobs]
    assert sorted(int(record["JobId"]) for record in own) == sorted(jobs)  # each once in Slurm's own accounting
    assert {record["JobState"] for record in own} == {"COMPLETED"}
    ran = {int(record["JobId"]): set(expand_hosts(record["NodeList"], where="jobcomp")) for record in own}
    assert [len(ran[job]) for job in jobs] == sizes
    wait_for(
        lambda: cluster.journal("SELECT COUNT(*) FROM jobs WHERE state = 'done'")[0][0] >= 200,
        timeout_s=60,
        what="the journal to hold the end of every job",
    )
    assert cluster.planned_hosts() == ran
    rows = cluster.journal("SELECT ref, hosts, ran_on, starts FROM jobs")
    assert {int(ref): set(hosts.split()) for ref, hosts, _, _ in rows} == ran
    assert {int(ref): set(ran_on.split()) for ref, _, ran_on, _ in rows} == ran
    assert {starts for _, _, _, starts in rows} == {1}
    ends = dict(cluster.journal("SELECT ref, figures FROM decisions WHERE action = 'ended'"))
    clocks = {int(ref): json.loads(figures) for ref, figures in ends.items()}
    assert {job: (clock["started_s"], clock["ended_s"]) for job, clock in clocks.items()} == {
        int(record["JobId"]): (parse_time(record["StartTime"]), parse_time(record["EndTime"])) for record in own
    }
    reasons = cluster.journal("SELECT DISTINCT reason FROM decisions WHERE action IN ('ran', 'ended')")
    assert sorted(reasons) == [("Slurm says COMPLETED",), ("on the planned hosts",)]


def test_no_job_of_a_leafs_size_crosses_leaves_on_an_empty_cluster(cluster: PlannedCluster) -> None:
    jobs = [cluster.sbatch("-N4", "--gres=gpu:8", "-t", "2", wrap="sleep 2") for _ in range(16)]
    finish(cluster, jobs)
    ran = cluster.placed()
    assert [len({cluster.leaf_of(host) for host in ran[job]}) for job in jobs] == [1] * 16


def test_jobs_that_say_where_or_when_are_left_alone(cluster: PlannedCluster) -> None:
    pinned = cluster.sbatch("-N2", "-w", "gpu[0061-0062]", wrap="sleep 1")
    single = cluster.sbatch("-N1", wrap="sleep 1")
    later = cluster.sbatch("-N2", "--begin=now+2", wrap="sleep 1")
    after = cluster.sbatch("-N2", f"--dependency=afterok:{single}", wrap="sleep 1")
    off = cluster.sbatch("-N2", "--comment=scaleplan: off", wrap="sleep 1")
    finish(cluster, [pinned, single, later, after, off])
    assert cluster.placed()[pinned] == ["gpu0061", "gpu0062"]
    marks = cluster.run("scontrol", "-o", "show", "job", str(later)).stdout
    assert "scaleplan:" not in marks
    known = {ref for (ref,) in cluster.journal("SELECT ref FROM jobs")}
    assert not known & {str(job) for job in (pinned, single, later, after, off)}


def test_an_array_is_planned_a_task_at_a_time_within_its_limit(cluster: PlannedCluster) -> None:
    array = cluster.sbatch("-N4", "--gres=gpu:8", "-t", "2", "--array=1-6%2", wrap="sleep 2")

    def done() -> bool:
        text = cluster.run("squeue", "-h", "-r", "-t", "all", "-j", str(array), "-o", "%T").stdout
        return text.split() == ["COMPLETED"] * 6

    wait_for(done, timeout_s=90, what="six tasks to complete")
    rows = dict(cluster.journal("SELECT ref, ran_on FROM jobs WHERE ref LIKE ?", f"{array}_%"))
    assert sorted(rows) == [f"{array}_{task}" for task in range(1, 7)]
    pins = cluster.journal("SELECT ref, hosts FROM decisions WHERE action = 'pin' AND ref LIKE ?", f"{array}_%")
    assert {ref: set(hosts.split()) for ref, hosts in pins} == {ref: set(ran.split()) for ref, ran in rows.items()}


def test_a_het_job_is_left_alone(cluster: PlannedCluster) -> None:
    done = cluster.run("sbatch", "--parsable", "-o", "/dev/null", "-N2", ":", "-N2", "--wrap", "sleep 1")
    job = int(done.stdout.strip())
    wait_for(lambda: cluster.states().get(job) == "COMPLETED", timeout_s=60, what="the het job to complete")
    assert cluster.journal("SELECT * FROM jobs WHERE job_id = ?", job) == []


def test_a_drained_planned_host_is_replaced(cluster: PlannedCluster) -> None:
    """All nodes but four are taken; the four are drained after the pin is decided, so the job waits, then runs."""
    blocker = cluster.sbatch("-N56", "--gres=gpu:8", "-t", "2", wrap="sleep 6")
    wait_for(lambda: all_in(cluster, [blocker], "RUNNING"), timeout_s=40, what="the blocker to run")
    free = sorted(set(cluster.node_names) - set(cluster.placed()[blocker]))
    cluster.run("scontrol", "update", f"NodeName={','.join(free)}", "State=DRAIN", "Reason=test")
    job = cluster.sbatch("-N4", "--gres=gpu:8", "-t", "2", wrap="sleep 1")
    finish(cluster, [blocker, job], timeout_s=60)
    assert not set(cluster.placed()[job]) & set(free)
    cluster.run("scontrol", "update", f"NodeName={','.join(free)}", "State=RESUME")


def test_the_heartbeat_gone_means_slurm_alone(cluster: PlannedCluster) -> None:
    cluster.stop_daemon()
    began = time.monotonic()
    job = cluster.sbatch("-N2", "--gres=gpu:8", wrap="sleep 1")
    wait_for(lambda: all_in(cluster, [job], "RUNNING", "COMPLETED"), timeout_s=20, what="the job to run by Slurm alone")
    waited_s = time.monotonic() - began
    assert waited_s < cluster.park_s
    assert "scaleplan" not in cluster.run("scontrol", "-o", "show", "job", str(job)).stdout
    cluster.start_daemon()
