"""Entry point of the command line: wires the commands, and turns every error into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 misused, 3 infeasible. ``SCALEPLAN_DEBUG=1`` shows the traceback of a defect.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from planner.cli import (
    advice,
    calibrate,
    collective,
    demo,
    doctor,
    fabric,
    fabric_diff,
    fabric_formats,
    place,
    replay,
    report,
    schema,
    serve,
    slurm,
    validate,
    weigh,
)
from topologies.errors import ScaleplanError

__all__ = ["app", "main"]

EXIT_FAILED = 1
EXIT_MISUSED = 2
EXIT_INTERRUPTED = 130

# What a wrong option raises; typer makes public only its subclass.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="scaleplan",
    help="Plan AI clusters with the network in view: fabrics as graphs, placement by CP-SAT, congestion by links.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
fabric_formats.register(fabric.app)
fabric_diff.register(fabric.app)
app.add_typer(fabric.app, name="fabric")
app.add_typer(slurm.app, name="slurm")
for module in (place, advice, replay, collective, calibrate, report, schema, validate, weigh, serve, demo, doctor):
    module.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"scaleplan {version('scaleplan')}\n")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Plan AI clusters with the network in view."""


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Run one command; return its exit code. No exception leaves this function."""
    try:
        outcome = app(argv, standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except ScaleplanError as error:
        return _fail(error.message, error.exit_code)
    except _UsageError as error:
        context: Any = getattr(error, "ctx", None)
        where = context.command_path if context else "scaleplan"
        if context and type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(context.get_help() + "\n")
            return EXIT_MISUSED
        return _fail(f"{where}: {' '.join(_message(error).split())}; fix: see {where} --help", EXIT_MISUSED)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except MemoryError:
        return _fail("out of memory; fix: take a smaller fabric or fewer jobs", EXIT_FAILED)
    except Exception as error:
        if os.environ.get("SCALEPLAN_DEBUG"):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(f"a defect of scaleplan: {what}; fix: report it with SCALEPLAN_DEBUG=1 set", EXIT_FAILED)


def _message(error: Exception) -> str:
    """Return what a wrong option's error says, with the option's name."""
    formatted = getattr(error, "format_message", None)
    return str(formatted() if formatted else error).rstrip(".")


def _fail(line: str, exit_code: int) -> int:
    sys.stderr.write(f"scaleplan: {line}\n")
    return exit_code
