"""Write logs as nccl-tests prints them, in the forms its versions and launchers give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from planner.collectives.definitions import Collective, busbw_factor

PROGRAMS: dict[Collective, str] = {
    "all-reduce": "all_reduce",
    "all-gather": "all_gather",
    "reduce-scatter": "reduce_scatter",
    "all-to-all": "alltoall",
    "send-recv": "sendrecv",
    "broadcast": "broadcast",
}


def figure(value: float, width: int) -> str:
    """Return a number as the tool prints it in a column: as many decimals as there is room for."""
    digits = len(str(int(value)))
    if digits > width:
        return f"{value:.1e}"
    return f"{value:.{2 if digits < width - 2 else 1 if digits < width - 1 else 0}f}"


def rank_lines(
    hosts: Sequence[str], a_host: int, *, model: str = "NVIDIA H100 80GB HBM3", group: bool = True
) -> list[str]:
    """Return one line a rank."""
    lines = []
    for i, host in enumerate(hosts):
        for device in range(a_host):
            told = "Group  0 " if group else ""
            lines.append(
                f"#  Rank {i * a_host + device:2d} {told}Pid {4000 + device} on {host:>10} device {device:2d} "
                f"[0x{0x1B + 8 * device:02x}] {model}"
            )
    return lines


def log(
    collective: Collective,
    rows: Iterable[tuple[int, float]],
    *,
    hosts: Sequence[str] = ("node1", "node2"),
    a_host: int = 8,
    model: str = "NVIDIA H100 80GB HBM3",
    named: bool = True,
) -> list[str]:
    """Return the lines of one test; `rows` are (bytes, seconds), the in-place times one percent longer."""
    ranks = len(hosts) * a_host
    program = f"{PROGRAMS[collective]}_perf"
    lines = [f"# Collective test starting: {program}"] if named else []
    lines += [
        "# nThread 1 nGpus 1 minBytes 8 maxBytes 8589934592 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 "
        "validation: 1 graph: 0",
        "#",
        "# Using devices",
        *rank_lines(hosts, a_host, model=model),
        "#",
        "#                                                              out-of-place                       in-place",
        "#       size         count      type   redop    root" + 2 * "     time   algbw   busbw #wrong",
        "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)",
    ]
    operation = "sum" if collective in ("all-reduce", "reduce-scatter") else "none"
    for size, seconds in rows:
        cells = [f"{size:12d}  {size // 4:12d}     float  {operation:>6}      -1"]
        for time_s in (seconds, 1.01 * seconds):
            algbw = size / time_s / 1e9
            busbw = algbw * float(busbw_factor(collective, ranks))
            cells.append(f"{figure(time_s * 1e6, 7):>7}  {figure(algbw, 6):>6}  {figure(busbw, 6):>6}       0")
        lines.append("  ".join(cells))
    lines += ["# Out of bounds values : 0 OK", "# Avg bus bandwidth    : 123.4", "#"]
    return [*lines, f"# Collective test concluded: {program}"] if named else lines
