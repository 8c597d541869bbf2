"""The options ``--report``, ``--pdf`` and ``--markdown`` of every study, and the writing of their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from planner.report import Study

__all__ = ["MarkdownOption", "PdfOption", "ReportOption", "write_reports"]

ReportOption = Annotated[Path | None, typer.Option("--report", help="Write an HTML report.")]
PdfOption = Annotated[Path | None, typer.Option("--pdf", help="Write the report as PDF; needs Chromium.")]
MarkdownOption = Annotated[Path | None, typer.Option("--markdown", help="Write the report as Markdown.")]


def write_reports(study: Callable[[], Study], report: Path | None, pdf: Path | None, markdown: Path | None) -> None:
    """Write the reports that were asked for; the study is made only if there is one.

    Raises
    ------
    OutputError
        If a file cannot be written, or no Chromium is there to print a PDF.
    """
    asked = [(path, form) for path, form in ((report, None), (pdf, "pdf"), (markdown, "markdown")) if path is not None]
    if not asked:
        return
    from planner.report import write_report

    made = study()
    for path, form in asked:
        write_report(made, path, form=form)
