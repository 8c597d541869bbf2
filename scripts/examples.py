"""Make one report of each kind from the command line, as a user would. Called by ``make examples``, and by the docs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["NAMES", "make_examples"]

BATCH = Path(__file__).parents[1] / "docs" / "examples" / "jobs.yaml"
_ON = ["leaf-spine-4to1", "--jobs", "jobs.yaml", "--routing", "ecmp"]
_TRACE = ["--like", "helios", "--jobs", "4000", "--accelerators", "248", "--load", "1.8", "--tenants", "5"]
_LEFT_OUT = 3
"""Exit code of ``place`` when a job is left out: the example has one, to show why."""
STEPS: tuple[list[str], ...] = (
    ["report", "dgx-h100-superpod-4su", "-o", "fabric.html"],
    ["place", *_ON, "--time-limit", "5", "-o", "placement.json", "--report", "placement.html"],
    ["score", *_ON, "--placement", "placement.json", "--draws", "40", "--report", "score.html"],
    ["weigh", "--report", "weigh.html"],
    ["weigh", "--designs", "gb200-nvl72", "--workloads", "deepseek-v3", "--sweep", "scale_up_domain=8,16,36,72",
     "--report", "sweep.html"],
    ["draw-trace", "-o", "trace.csv", *_TRACE],
    ["replay", "dgx-h100-superpod-2su", "--trace", "trace.csv", "--mtbf-hours", "2000", "--report", "replay.html"],
    ["place", *_ON, "--solver", "random", "--json"],
    ["place", *_ON, "--solver", "first-fit", "--json"],
    ["report", "before.json", "after.json", "-o", "compare.html"],
)  # fmt: skip
_KEPT = {7: "before.json", 8: "after.json"}
"""Steps whose output is kept, and where."""
NAMES = ("fabric", "placement", "score", "weigh", "sweep", "replay", "compare")


def make_examples(folder: Path) -> list[Path]:
    """Run every step in a folder and return the reports; what fails says so on standard error and ends it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jobs.yaml").write_bytes(BATCH.read_bytes())
    program = Path(sys.executable).with_name("scaleplan")
    for number, step in enumerate(STEPS):
        ended = subprocess.run([program, *step], cwd=folder, stdout=subprocess.PIPE, check=False)
        if ended.returncode not in (0, _LEFT_OUT):
            message = f"scaleplan {' '.join(step)}: exit code {ended.returncode}"
            raise SystemExit(message)
        if number in _KEPT:
            (folder / _KEPT[number]).write_bytes(ended.stdout)
    return [folder / f"{name}.html" for name in NAMES]


if __name__ == "__main__":
    for made in make_examples(Path(sys.argv[1])):
        print(made)  # noqa: T201
