#!/usr/bin/env bash
# Print the path of the Python to build .venv with: $PYTHON if set, else the first of python3.11 … python3.14 and
# python3 that is 3.11–3.14, one that can make environments before one that cannot.
set -uo pipefail

in_range='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'

if [ -n "${PYTHON:-}" ]; then
    "$PYTHON" -c "$in_range" 2>/dev/null || {
        echo "PYTHON=$PYTHON is not a Python 3.11, 3.12, 3.13 or 3.14 that runs; name another one or leave PYTHON unset." >&2
        exit 1
    }
    command -v "$PYTHON"
    exit 0
fi

without_venv=""
for name in python3.11 python3.12 python3.13 python3.14 python3; do
    path=$(command -v "$name") || continue
    "$path" -c "$in_range" 2>/dev/null || continue # also a version manager's shim that leads nowhere
    if "$path" -c 'import venv, ensurepip' 2>/dev/null; then
        echo "$path"
        exit 0
    fi
    [ -n "$without_venv" ] || without_venv=$path
done
if [ -n "$without_venv" ]; then
    echo "$without_venv"
    exit 0
fi
found=$(python3 --version 2>/dev/null) || found="none"
echo "scaleplan needs Python 3.11, 3.12, 3.13 or 3.14; python3 here: $found. Install one (Debian, Ubuntu: apt-get install python3.11 python3.11-venv), or name it: make PYTHON=/path/to/python" >&2
exit 1
