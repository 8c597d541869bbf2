"""List and run the benchmarks: each ``bench_*.py`` here with a function ``bench(table)``, in a process of its own."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.table import Row, Table

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of all benchmarks."""
    return sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def about(name: str) -> str:
    """The first line of what a benchmark says of itself."""
    doc = ast.get_docstring(ast.parse((FOLDER / f"bench_{name}.py").read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0]


def run_here(name: str, out: Path) -> None:
    """Run one benchmark in this process; leave its rows in `out`."""
    table = Table()
    importlib.import_module(f"tests.benchmarks.bench_{name}").bench(table)
    out.write_text(json.dumps([dataclasses.asdict(row) for row in table.rows]), encoding="utf-8")


def run(name: str) -> Table | None:
    """Run one benchmark in a process of its own; None if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        argv = [sys.executable, "-m", "tests.benchmarks", name, "--here", str(out)]
        if subprocess.run(argv, check=False).returncode != 0 or not out.is_file():
            return None
        return Table([Row(**row) for row in json.loads(out.read_text(encoding="utf-8"))])


def main() -> int:
    """Run the benchmarks named, or all; exit code 1 if one failed to run (a missed target is printed, not an error)."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=main.__doc__)
    parser.add_argument("name", nargs="*", help="benchmarks to run (default: all)")
    parser.add_argument("--list", action="store_true", help="list the benchmarks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all rows as JSON")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.name) - set(names())):
        parser.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(names())}")
    if arguments.list:
        for name in names():
            print(f"{name:24} {about(name)}")  # noqa: T201
        return 0
    if arguments.here:
        run_here(arguments.name[0], arguments.here)
        return 0

    tables: dict[str, Table | None] = {}
    for name in arguments.name or names():
        print(f"\n{name}: {about(name)}", flush=True)  # noqa: T201
        tables[name] = table = run(name)
        print(table.text() if table else f"{name} FAILED TO RUN; see above", flush=True)  # noqa: T201
    rows = [row for table in tables.values() if table for row in table.rows]
    met, missed = (sum(row.met is wanted for row in rows) for wanted in (True, False))
    failed = [name for name, table in tables.items() if table is None]
    print(f"\n{len(tables)} benchmarks, {len(rows)} rows: {met} targets met, {missed} missed", end="")  # noqa: T201
    print(f"; failed to run: {', '.join(failed)}" if failed else "", end="")  # noqa: T201
    print(f" (load of this machine now: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")  # noqa: T201
    if arguments.json:
        found = {
            name: None if table is None else [{**dataclasses.asdict(row), "met": row.met} for row in table.rows]
            for name, table in tables.items()
        }
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
