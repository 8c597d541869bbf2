"""The readers, on what real Slurms of 22.05 and 26.05 wrote (data/SOURCE.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.slurm.read_jobs import (
    SQUEUE_FORMAT,
    parse_duration,
    parse_gpus,
    parse_job_detail,
    parse_queue,
    parse_time,
    split_details,
)
from planner.slurm.read_site import parse_config, parse_nodes, parse_partitions, parse_reservations
from planner.slurm.read_topology import parse_topology

Read = Callable[[str], str]
US = "\x1f"


def queue_line(**fields: str) -> str:
    """One line of squeue as 22.05 wrote it for a parked two-node job, with some fields replaced."""
    row = {
        "%i": "5", "%A": "5", "%F": "5", "%T": "PENDING", "%r": "BeginTime", "%Q": "4294901755", "%P": "batch",
        "%U": "0", "%V": "1795508798", "%S": "1795509298", "%e": "NONE", "%l": "UNLIMITED", "%D": "2", "%C": "2",
        "%c": "1", "%m": "0", "%b": "gres:gpu:8", "%h": "OK", "%n": "", "%x": "", "%N": "", "%Y": "(null)",
        "%v": "(null)", "%E": "(null)", "%f": "(null)",
    }  # fmt: skip
    row.update({f"%{key}": value for key, value in fields.items()})
    return US.join(row[word] for word in SQUEUE_FORMAT.split(US))


def test_a_parked_job_is_read() -> None:
    (job,) = parse_queue(queue_line() + "\n")
    assert (job.ref, job.job_id, job.state, job.reason) == ("5", 5, "PENDING", "BeginTime")
    assert (job.num_nodes, job.gpus_per_node, job.priority) == (2, 8, 4294901755)
    assert (job.submit_s, job.start_s, job.end_s, job.time_limit_s) == (1795508798.0, 1795509298.0, None, None)
    assert job.req_nodes == job.nodes == ()
    assert not job.is_het
    assert not job.is_array


def test_arrays_het_jobs_and_running_jobs_are_read() -> None:
    text = "\n".join(
        [
            *(queue_line(i=f"2_{n}", A="2", F="2") for n in (9, 4, 5, 6, 12)),
            queue_line(i="2_3", A="8", F="2", n="gpu0001"),
            queue_line(i="2_1", A="7", F="2", T="RUNNING", N="gpu[0001-0002]", e="1795509999", l="1-02:03:04"),
            queue_line(i="3+1", A="4", F="4"),
        ]
    )
    array, split, task, het = parse_queue(text)
    assert (array.ref, array.array_tasks) == ("2_[4-6,9,12]", (4, 5, 6, 9, 12))
    assert (split.ref, split.array_tasks, split.job_id, split.is_array) == ("2_3", (), 8, True)
    assert (task.ref, task.array_job_id, task.job_id, task.nodes) == ("2_1", 2, 7, ("gpu0001", "gpu0002"))
    assert task.time_limit_s == 86400 + 2 * 3600 + 3 * 60 + 4
    assert het.is_het


def test_a_line_with_a_forged_or_missing_field_is_left_out() -> None:
    good = queue_line()
    assert parse_queue("\n".join([good + US + "x", "JobId=1 evil", "", queue_line(A="x"), queue_line(n="a;b")])) == ()
    assert len(parse_queue(good + "\nrubbish\n" + good)) == 2


def test_a_long_array_is_one_record() -> None:
    (job,) = parse_queue("\n".join(queue_line(i=f"9_{n}", A="9", F="9") for n in range(5000)))
    assert job.array_tasks == tuple(range(5000))
    assert job.ref == "9_[0-4999]"


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("gpu:8", 8),
        ("gres:gpu:8", 8),
        ("gres/gpu:4", 4),
        ("gpu:a100:3(IDX:0-2)", 3),
        ("gpu:a100:2(S:0-1),gpu:h100:4(S:0,1),mps:100", 6),
        ("gres/gpu=2", 2),
        ("gpu", 1),
        ("N/A", 0),
        ("(null)", 0),
        ("nic:4", 0),
        ("gpu:tesla", 1),
    ],
)
def test_gpus(text: str, gpus: int) -> None:
    assert parse_gpus(text) == gpus


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("UNLIMITED", None),
        ("30", 1800.0),
        ("05:00", 300.0),
        ("1:00:00", 3600.0),
        ("2-00:00:00", 172800.0),
        ("1-2", 93600.0),
    ],
)
def test_time_limits(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


def test_times() -> None:
    assert parse_time("1795508798") == 1795508798.0
    assert parse_time("Unknown") is None
    assert parse_time("2026-11-24T08:26:29Z") == 1795508789.0
    assert parse_time("2026-11-24T08:26:29") is not None


def test_details_of_22_05(data_text: Read) -> None:
    records = split_details(data_text("22.05_scontrol_show_job_d.txt"))
    assert sorted(records) == [127, 128, 129, 130, 131]
    held = parse_job_detail(records[128][0])
    assert held.admin_comment == "planner:held"
    assert (held.min_nodes, held.max_nodes, held.segment_nodes, held.exclusive) == (2, 2, 0, None)
    said = parse_job_detail(records[130][0])
    assert said.comment == "hello-from-cli\n0"
    assert said.admin_comment == ""


def test_details_of_26_05(data_text: Read) -> None:
    records = split_details(data_text("26.05_scontrol_show_job_d.txt"))
    assert sorted(records) == [1, 2, 3, 4]
    detail = parse_job_detail(records[4][0])
    assert (detail.segment_nodes, detail.exclusive, detail.max_nodes) == (16, False, 32)


def test_a_forged_record_in_a_name_makes_its_number_doubtful() -> None:
    forged = "JobId=5 JobName=x\nJobId=6 JobName=evil UserId=root(0) AdminComment=scaleplan:parked UserId=u(1) \
WorkDir=/ Comment=c\nJobId=6 StdErr=/dev/null"
    real = "\nJobId=6 JobName=y UserId=u(2) WorkDir=/ StdErr=/dev/null\n"
    assert len(split_details(forged + real)[6]) == 3


def test_nodes_of_22_05(data_text: Read) -> None:
    nodes = {node.name: node for node in parse_nodes(data_text("22.05_scontrol_show_nodes_oneline.txt"))}
    assert sorted(nodes) == ["gpu0001", "gpu0002", "gpu0003"]
    node = nodes["gpu0001"]
    assert (node.cpus, node.cpus_used, node.memory_mib, node.gpus, node.gpus_free) == (32, 0, 2000000, 8, 8)
    assert node.is_idle
    assert node.partitions == ("batch",)
    (partial,) = parse_nodes(data_text("22.05_scontrol_show_node_d_partial_gpu.txt"))
    assert (partial.state, partial.gpus, partial.gpus_used, partial.gpus_free) == ("MIXED", 8, 5, 3)
    several = parse_nodes(data_text("22.05_scontrol_show_nodes.txt"))
    assert [node.cpus_used for node in several] == [0, 0, 0, 8]


def test_nodes_of_26_05(data_text: Read) -> None:
    nodes = parse_nodes(data_text("26.05_scontrol_show_nodes_oneline.txt"))
    assert [node.gpus for node in nodes] == [4, 4, 4]
    (one,) = parse_nodes(data_text("26.05_scontrol_show_node.txt"))
    assert one.is_idle


@pytest.mark.parametrize(
    ("state", "up"),
    [
        ("IDLE", True),
        ("MIXED", True),
        ("IDLE+PLANNED", True),
        ("IDLE+CLOUD", True),
        ("IDLE+DRAIN", False),
        ("MIXED+DRAIN", False),
        ("DOWN*", False),
        ("IDLE*", False),
        ("IDLE~", False),
        ("IDLE$", False),
        ("IDLE+RESERVED", False),
        ("IDLE+MAINTENANCE+RESERVED", False),
        ("UNKNOWN", False),
        ("IDLE-", True),
        ("INVAL", False),
    ],
)
def test_which_nodes_take_jobs(state: str, up: bool) -> None:
    (node,) = parse_nodes(f"NodeName=n1 Gres=gpu:h100:8(S:0-1) State={state} Reason=State=IDLE by admin")
    assert node.is_up is up
    assert node.gpus_free == (8 if up else 0)
    assert node.gpu_kind == "h100"


def test_tree_topologies(data_text: Read) -> None:
    old = parse_topology(data_text("22.05_scontrol_show_topology.txt"))
    assert old.kind == "tree"
    assert len(old.leaves) == 8
    assert old.leaf_by_host()["gpu0064"] == "leaf008"
    assert old.parent_by_unit()["leaf005"] == "pod02"
    assert old.parent_by_unit()["pod02"] == "core"
    new = parse_topology(data_text("26.05_scontrol_show_topology_tree_ib.txt"))
    assert [len(leaf.hosts) for leaf in new.leaves] == [18] * 8


def test_block_topology(data_text: Read) -> None:
    topology = parse_topology(data_text("26.05_scontrol_show_topology_block.txt"))
    assert (topology.kind, topology.block_sizes) == ("block", (18, 36, 72))
    assert topology.leaf_by_host()["gpu0019"] == "nvl002"
    assert len(topology.leaves) == 8
    assert parse_topology("No topology information available").kind == "flat"


def test_partitions_reservations_and_configuration() -> None:
    (partition,) = parse_partitions(
        "PartitionName=batch AllowGroups=ALL Default=YES DefaultTime=NONE MaxNodes=UNLIMITED MaxTime=1-00:00:00 "
        "Nodes=gpu[0001-0004] PriorityTier=2 State=UP TotalNodes=4 Topology=ib\n"
    )
    assert (partition.nodes[-1], partition.max_nodes, partition.max_time_s) == ("gpu0004", None, 86400.0)
    assert (partition.is_default, partition.is_up, partition.topology, partition.priority_tier) == (True, True, "ib", 2)
    (reservation,) = parse_reservations(
        "ReservationName=maint StartTime=1795508798 EndTime=1795509798 Nodes=gpu[0001-0002] NodeCnt=2\n"
        "ReservationName=lic StartTime=1 EndTime=2 Nodes= Licenses=a:1\n"
    )
    assert (reservation.name, len(reservation.nodes), reservation.end_s) == ("maint", 2, 1795509798.0)
    config = parse_config(
        "Configuration data as of 2026-11-24T08:26:29\nSLURM_VERSION           = 22.05.8\n"
        "TopologyPlugin          = topology/tree\nSlurmUser               = slurm(64030)\nEpilogSlurmctld = (null)\n"
    )
    assert (config.version, config.topology_kind, config.slurm_user) == ((22, 5), "tree", "slurm")
    assert config.get("epilogslurmctld") == ""
    assert parse_config("").version == (0, 0)


@given(st.text(max_size=300))
def test_no_text_breaks_a_reader(text: str) -> None:
    for parse in (parse_queue, parse_topology, parse_config, parse_job_detail, split_details):
        parse(text)
    parse_nodes("NodeName=n1 " + text)
