"""``scaleplan doctor``: tells whether everything that scaleplan needs works here."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from planner.cli.fabric import JsonOption
from planner.cli.output import print_json, print_lines

__all__ = ["checks", "register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(doctor)


def doctor(
    as_json: JsonOption = False,
) -> int:
    """Check this installation; exit code 1 if something does not work."""
    found = []
    for name, check in checks().items():
        try:
            found.append((name, True, check()))
        except Exception as error:
            found.append((name, False, " ".join(f"{type(error).__name__}: {error}".split())))
    if as_json:
        rows = [{"check": name, "good": good, "found": text} for name, good, text in found]
        print_json({"schema": "scaleplan/doctor/1", "checks": rows})
    else:
        print_lines(f"{'good' if good else 'BAD '}  {name}: {text}" for name, good, text in found)
    return 0 if all(good for _, good, _ in found) else 1


def checks() -> dict[str, Callable[[], str]]:
    """Return the checks by name; each returns what it found, or raises."""
    return {
        "Python": _python,
        "packages": _packages,
        "catalogue": _catalogue,
        "CP-SAT": _cp_sat,
        "solvers": _solvers,
        "reports": _reports,
        "slurm": _slurm,
    }


def _python() -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        msg = f"Python {sys.version_info.major}.{sys.version_info.minor}; allowed: 3.11 to 3.14"
        raise RuntimeError(msg)
    return sys.version.split()[0]


def _packages() -> str:
    from planner.result import versions

    return ", ".join(f"{name} {version}" for name, version in versions().items() if name != "python")


def _catalogue() -> str:
    from topologies.files.fabric_file import list_catalog, load_fabric

    entries = list_catalog()
    return f"{len(entries)} fabrics; {load_fabric(entries[0].name).name} builds"


def _cp_sat() -> str:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    x = model.new_int_var(0, 10, "x")
    model.add(2 * x <= 7)
    model.maximize(x)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    if status != cp_model.OPTIMAL or solver.value(x) != 3:  # 2·3 ≤ 7 < 2·4
        msg = f"max x with 2x ≤ 7 gave {solver.status_name(status)}"
        raise RuntimeError(msg)
    return "solves"


def _solvers() -> str:
    from planner.solver import get_solver, solver_names

    for name in solver_names():
        get_solver(name)
    return ", ".join(solver_names()) or "none installed"


def _reports() -> str:
    from importlib.metadata import entry_points

    points = entry_points(group="scaleplan.reports")
    for point in points:
        point.load()
    return ", ".join(sorted(point.name for point in points)) or "none installed"


def _slurm() -> str:
    import shutil

    path = shutil.which("scontrol")
    return f"scontrol at {path}" if path else "not here; needed only for `scaleplan slurm`"
