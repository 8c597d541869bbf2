"""Logs of nccl-tests are read whatever version and launcher wrote them; logs of other tools are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.collectives.definitions import Collective
from planner.collectives.measured.nccl_tests_log import LoggedTest, read_log
from tests.planner.collectives.logs import log, rank_lines
from topologies.errors import InputError

ROWS = [(1024, 40e-6), (1048576, 100e-6), (1073741824, 5e-3)]


@pytest.fixture
def read(tmp_path: Path):
    def reading(lines: list[str], name: str = "run.log", **options: object) -> tuple[LoggedTest, ...]:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_log(path, **options)[0]  # type: ignore[arg-type]

    return reading


def figures(test: LoggedTest) -> list[tuple[int, float]]:
    return [(row.size_bytes, row.time_s) for row in test.rows]


def test_a_log_is_read(read) -> None:
    (test,) = read(log("all-reduce", ROWS))
    assert (test.collective, test.num_ranks, test.hosts) == ("all-reduce", 16, ("node1", "node2"))
    assert figures(test) == [(size, pytest.approx(seconds)) for size, seconds in ROWS]
    assert test.ranks[9].device == 1
    assert test.left_out == ()


@pytest.mark.parametrize(
    "prefix", ["[1,0]<stdout>:", "(head, rank=0, pid=3808) [1,0]<stdout>:", " 0: ", "> ", "  "], ids=repr
)
def test_what_launchers_put_before_lines_is_passed_over(read, prefix: str) -> None:
    (test,) = read([prefix + line for line in log("all-reduce", ROWS)])
    assert figures(test) == figures(read(log("all-reduce", ROWS))[0])
    assert test.num_ranks == 16


def test_messages_between_and_inside_rows_are_passed_over(read) -> None:
    lines = log("all-reduce", ROWS)
    first = next(i for i, line in enumerate(lines) if line.lstrip().startswith("1024"))
    head, tail = lines[first][:55], lines[first][55:]
    broken = [
        *lines[:first],
        head + "node1:17:42 [0] NCCL INFO Channel 00/16 : 0[0] -> 1[1] via P2P/CUMEM",
        "node2:18:43 [1] NCCL INFO Connected all rings",
        tail,
        *lines[first + 1 :],
    ]
    assert figures(read(broken)[0]) == figures(read(lines)[0])


def test_old_columns_and_old_rank_lines(read) -> None:
    lines = [
        "# nThread 1 nGpus 8 minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20 validation: 1",
        *rank_lines(["dgx"], 8, group=False),
        "#                                                     out-of-place                       in-place",
        "#       size         count    type   redop     time   algbw   busbw  error     time   algbw   busbw  error",
        "#        (B)    (elements)                     (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)",
        "     1048576        262144   float     sum    63.91   16.41   28.71  1e-06    63.53   16.50   28.88  1e-06",
        "   134217728      33554432   float     sum   1142.9  117.43  205.51  1e-06   1143.7  117.36  205.37  1e-06",
    ]
    (test,) = read(lines, "all_reduce_perf.txt")
    assert (test.collective, test.num_ranks) == ("all-reduce", 8)
    assert figures(test) == [(1048576, pytest.approx(63.91e-6)), (134217728, pytest.approx(1142.9e-6))]


def test_new_columns_and_time_stamps(read) -> None:
    lines = [
        "# nccl-tests version 2.18.3 nccl-headers=22809 nccl-library=22809",
        "# Collective test starting: all_gather_perf",
        *rank_lines(["a", "b"], 4),
        "#       size         count      type   redop    root     time   algbw   busbw  #wrong    i_min    i_max"
        "    i_p99    i_cv%     time   algbw   busbw  #wrong    i_min    i_max    i_p99    i_cv%           timestamp",
        "    16777216       2097152     float    none      -1   120.00  139.81  122.33       0   119.00   130.00"
        "   129.00     1.20   121.00  138.65  121.32       0   119.00   130.00   129.00     1.20  2026-01-02 03:04:05",
    ]
    (test,) = read(lines)
    assert (test.collective, test.num_ranks, test.version) == ("all-gather", 8, "22809")
    assert figures(test) == [(16777216, pytest.approx(120e-6))]


def test_in_place_stands_in_where_out_of_place_was_not_measured(read) -> None:
    lines = log("all-reduce", ROWS[:1])
    row = next(i for i, line in enumerate(lines) if line.lstrip().startswith("1024"))
    lines[row] = (
        "        1024           256     float     sum      -1   N/A   N/A   N/A   N/A   40.00    0.03    0.05    N/A"
    )
    assert figures(read(lines)[0]) == [(1024, pytest.approx(40e-6))]


def test_wrong_values_and_empty_rows_are_left_out_aloud(read) -> None:
    lines = log("all-reduce", [(0, 10e-6), *ROWS])
    lines = [line.replace("       0", "      12", 1) if line.lstrip().startswith("1048576") else line for line in lines]
    (test,) = read(lines)
    assert [row.size_bytes for row in test.rows] == [1024, 1073741824]
    assert [text.partition(": ")[2] for text in test.left_out] == ["no bytes", "12 values were wrong"]


def test_several_tests_in_one_log(read) -> None:
    lines = [*log("all-reduce", ROWS), *log("all-to-all", ROWS), *log("send-recv", ROWS, hosts=["x"])]
    tests = read(lines)
    assert [(t.collective, t.num_ranks) for t in tests] == [("all-reduce", 16), ("all-to-all", 16), ("send-recv", 8)]
    assert [t.collective for t in read(lines, collective="all-to-all")] == ["all-to-all"]


def test_the_collective_is_found_by_command_file_name_or_figures(read) -> None:
    lines = log("all-gather", ROWS, named=False)
    assert read(["$ mpirun -np 16 ./build/all_gather_perf -b 8 -e 1G -f 2", *lines])[0].collective == "all-gather"
    assert read(lines, "2026-01-02_all_gather_perf.out")[0].collective == "all-gather"
    assert read(lines, collective="all-gather")[0].collective == "all-gather"
    assert read(log("all-reduce", ROWS, named=False))[0].collective == "all-reduce"
    assert read(log("reduce-scatter", ROWS, named=False))[0].collective == "reduce-scatter"
    with pytest.raises(InputError, match="does not say which collective"):
        read(lines)


def test_ranks_are_counted_by_the_figures_if_none_are_listed(read) -> None:
    lines = [line for line in log("all-reduce", [(1073741824, 5e-3)]) if "Rank" not in line]
    assert read(lines)[0].num_ranks == 16
    assert read(lines, num_ranks=16)[0].num_ranks == 16
    with pytest.raises(InputError, match="not that of so many ranks"):
        read(lines, num_ranks=32)
    with pytest.raises(InputError, match=r"does not say how many ranks.*--gpus"):
        read([line for line in log("send-recv", ROWS) if "Rank" not in line])


def test_settings_are_noticed(read) -> None:
    (test,) = read(["mpirun -x NCCL_ALGO=Ring -x NCCL_COLLNET_ENABLE=1 all_reduce_perf", *log("all-reduce", ROWS)])
    assert (test.algorithm, test.collnet) == ("Ring", True)


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([""], "not a log of nccl-tests"),
        (["# OSU MPI Allreduce Latency Test v7.2", "# Size       Avg Latency(us)", "1024   12.3"], "not a log of"),
        (
            [" #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]", " 65536 5000 46000.1 45999.9"],
            "not a log",
        ),
        (log("all-reduce", []), "no row that can be used"),
        (log("all-reduce", ROWS, hosts=["one"], a_host=1), "built without MPI"),
        ([x.replace("Group  0", f"Group {i % 2}") for i, x in enumerate(log("all-reduce", ROWS))], "ran at once"),
        ([x.replace("(us)", "(ms)") for x in log("all-reduce", ROWS)], "other units"),
        ([x.replace(" time ", " cputime ") for x in log("all-reduce", ROWS)], "processor's time"),
        ([x.replace("all_reduce", "hypercube") for x in log("all-reduce", ROWS)], "hypercube_perf is not modelled"),
        ([x.replace("Rank  0", "Rank 31") for x in log("all-reduce", ROWS)], "not that of so many ranks"),
        (
            [x.replace("1048576 ", "3048576 ").replace("1024 ", "9024 ") for x in log("all-reduce", ROWS[:2])],
            "contradicts",
        ),
    ],
)
def test_what_is_no_usable_log_is_refused_in_one_line(read, lines: list[str], what: str) -> None:
    with pytest.raises(InputError, match=what) as error:
        read(lines)
    assert "\n" not in error.value.message


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the log"):
        read_log(tmp_path / "none.log")


@given(
    st.sampled_from(["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "send-recv", "broadcast"]),
    st.lists(st.tuples(st.integers(4, 2**36), st.floats(2e-6, 100.0)), min_size=1, max_size=8),
    st.integers(1, 9),
)
def test_whatever_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, collective: Collective, rows: list[tuple[int, float]], hosts: int
) -> None:
    rows = [(size, seconds) for size, seconds in rows if size / seconds < 1e12]
    path = tmp_path_factory.mktemp("log") / "run.log"
    path.write_text("\n".join(log(collective, rows, hosts=[f"h{i}" for i in range(hosts)])), encoding="utf-8")
    if not rows:
        with pytest.raises(InputError):
            read_log(path)
        return
    (test,), left_out = read_log(path)
    assert (test.collective, test.num_ranks, left_out) == (collective, 8 * hosts, ())
    for row, (size, seconds) in zip(test.rows, rows, strict=True):
        assert row.size_bytes == size
        assert row.time_s == pytest.approx(seconds, rel=0.06)


@given(st.text(max_size=300))
def test_no_text_makes_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("log") / "run.log"
    lines = log("all-reduce", ROWS)
    path.write_text("\n".join([*lines[:-6], text, *lines[-6:]]), encoding="utf-8", errors="replace")
    (test,), _ = read_log(path)
    assert test.num_ranks == 16
