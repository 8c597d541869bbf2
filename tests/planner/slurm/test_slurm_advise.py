"""Advice worked out by hand."""

from __future__ import annotations

import pytest

from planner.slurm.advise import advise_blocks, advise_segment, free_slots
from planner.slurm.history import PastJob, parse_sacct
from tests.planner.slurm.fake_slurm import FakeSlurm
from topologies.errors import InputError


def test_sacct_lines() -> None:
    text = (
        "101|4|billing=8,gres/gpu:h100=32,gres/gpu=32,node=4|1795508000|1795508060|1795511660|COMPLETED\n"
        "102|2|cpu=4,gres/gpu:a=8,gres/gpu:b=8|2026-11-24T08:00:00|2026-11-24T08:00:10|2026-11-24T09:00:10|FAILED\n"
        "103|1||Unknown|Unknown|Unknown|CANCELLED by 0\n"
    )
    jobs = list(parse_sacct(text))
    assert jobs == [PastJob(4, 32, 60.0, 3600.0), PastJob(2, 16, 10.0, 3600.0)]
    with pytest.raises(InputError, match="not the output of sacct"):
        list(parse_sacct("JobID State\n1 DONE\n"))


@pytest.mark.parametrize(
    ("nodes", "block", "segment"),
    [(32, 18, 16), (36, 18, 18), (32, 16, 16), (20, 16, 10), (24, 18, 12), (7, 4, 1)],
)
def test_segments(nodes: int, block: int, segment: int) -> None:
    assert advise_segment(nodes, block) == segment


def test_block_sizes_are_compared_by_node_hours() -> None:
    """10 h of 16 nodes, 10 h of 32: blocks of 16 hold a third (160 of 480), blocks of 32 all."""
    jobs = [PastJob(16, 128, 0, 36000), PastJob(32, 256, 0, 36000), PastJob(1, 8, 0, 1e9)]
    small, odd, large = advise_blocks(jobs, [16, 18, 32])
    assert small.within_frac == pytest.approx(160 / 480)
    assert small.stranded_frac == 0
    assert small.segments == {32: 16}
    assert odd.stranded_frac == pytest.approx((160 * 2 + 320 * 2) / 18 / 480)
    assert large.within_frac == 1
    with pytest.raises(InputError, match="no past job"):
        advise_blocks([PastJob(1, 8, 0, 1)], [4])


def test_slots_and_what_blocks_them() -> None:
    """4 leaves of 4 hosts of 8 GPUs; one host of leaf0 taken, one of leaf1 drained, two of leaf2 half taken."""
    slurm = FakeSlurm()
    first = slurm.run_on(["gpu0001"])
    slurm.down["gpu0005"] = "IDLE+DRAIN"
    half = slurm.run_on(["gpu0009", "gpu0010"], gpus=4)
    snapshot = slurm.snapshot()
    report = free_slots(32, snapshot.nodes, snapshot.jobs, snapshot.topology)
    assert (report.slots, report.slots_if_empty, report.num_nodes) == (1, 4, 4)
    assert [group.slots for group in report.groups] == [0, 0, 0, 1]
    assert report.across == 2  # 3 + 3 + 2 idle hosts beside each other's leaves
    assert report.groups[0].blockers == ((str(first.number), 1),)
    assert report.groups[1].not_up == ("gpu0005",)
    assert report.groups[2].blockers == ((str(half.number), 2),)
    four = free_slots(4, snapshot.nodes, snapshot.jobs, snapshot.topology)
    assert [group.slots for group in four.groups] == [6, 6, 6, 8]
    with pytest.raises(InputError, match="no slots of that size"):
        free_slots(0, snapshot.nodes, snapshot.jobs, snapshot.topology)
