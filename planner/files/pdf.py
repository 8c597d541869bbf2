"""HTML pages printed to PDF by the Chromium of the machine, if it has one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from planner.files.writing import write_bytes
from topologies.errors import OutputError

__all__ = ["write_pdf"]

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MOST_S = 120
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-pdf-header-footer",
    "--virtual-time-budget=20000",
)


def write_pdf(html: str, path: str | os.PathLike[str]) -> None:
    """Print a page to a PDF file, whole or not at all.

    Raises
    ------
    OutputError
        If there is no Chromium, it prints nothing, or the file cannot be written.
    """
    program = next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise OutputError(
            what="a PDF is printed by Chromium, and there is none",
            where=Path(path),
            allowed=", ".join(_PROGRAMS),
            fix="install chromium, or write .html and print it from a browser",
        )
    with tempfile.TemporaryDirectory(prefix="scaleplan-pdf-") as folder:
        page, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        page.write_text(html, encoding="utf-8")
        argv = [program, *_FLAGS, f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}"]
        if os.geteuid() == 0:
            argv.append("--no-sandbox")  # Chromium refuses to start as root otherwise; the page is our own
        argv.append(page.as_uri() + "#print")
        found = ""
        try:
            ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_MOST_S, check=False)
            found = f"exit code {ended.returncode}"
        except (OSError, subprocess.TimeoutExpired) as error:
            found = type(error).__name__
        if not printed.is_file():
            raise OutputError(what="Chromium printed no PDF", where=Path(path), found=found)
        write_bytes(path, printed.read_bytes())
