"""Write the errors of the models, as the suites measure them, beside the reports. Called by ``make errors``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from planner.validation.runner import run_suites
from reports.models import MODELS, suites_behind


def main(data: str, path: str) -> None:
    """Run the suites that reports speak of and write what they measured, all figures to four digits."""
    report = run_suites(data, suites_behind(), say=lambda text: print(text, file=sys.stderr))  # noqa: T201
    wanted = {(suite, metric) for model in MODELS.values() for suite, metric, _ in model.told}
    suites = {
        suite.name: {
            target.metric: float(f"{target.value:.4g}")
            for target in suite.outcome.targets
            if target.value is not None and (suite.name, target.metric) in wanted
        }
        for suite in report.suites
    }
    missing = wanted - {(suite, metric) for suite, told in suites.items() for metric in told}
    if missing:
        raise SystemExit(f"no suite measures {sorted(missing)}: see reports/models.py")  # noqa: EM102
    text = json.dumps({"made_by": "make errors", "suites": suites}, indent=1, sort_keys=True)
    Path(path).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
