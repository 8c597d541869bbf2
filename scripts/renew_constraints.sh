#!/usr/bin/env bash
# Write constraints.txt: one pinned version of everything that any extra, dependency group or the build needs, for
# every Python we support, the same version on all of them.
# usage: scripts/renew_constraints.sh [yes]     (yes: move to the newest versions)
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t groups < <(.venv/bin/python - <<'PY'
import tomllib
from pathlib import Path

for name in tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]:
    print(f"--group={name}")
PY
)
upgrade=()
[ "${1:-}" != yes ] || upgrade=(--upgrade)
# hatchling and editables build the package; they come in on standard input.
printf 'hatchling\neditables\n' | .venv/bin/python -m uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
    --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make constraints" \
    --all-extras "${groups[@]}" "${upgrade[@]}" -o constraints.txt pyproject.toml - >/dev/null
echo "constraints.txt: $(grep -c == constraints.txt) pins"
