"""How soon `scaleplan --help` answers, as a whole process, beside a Python that does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.benchmarks.measure import side_by_side
from tests.benchmarks.table import Table


def bench(table: Table) -> None:
    program = Path(sys.executable).with_name("scaleplan")

    def run(*argv: str | Path) -> None:
        subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    run(program, "--help")  # compiled to bytecode, read from disk once
    ours, bare = side_by_side(lambda: run(program, "--help"), lambda: run(sys.executable, "-c", ""), repeat=15)
    table.add("scaleplan --help", ours.median_s, against="python -c ''", reference=bare.median_s, at_most=0.3)
