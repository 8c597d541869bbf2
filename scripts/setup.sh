#!/usr/bin/env bash
# Make .venv and install scaleplan into it, with the named groups of [dependency-groups] in pyproject.toml, at the
# versions in constraints.txt.   usage: scripts/setup.sh [GROUP...]
# Calling it again with nothing changed does nothing: .venv keeps a fingerprint of what each part was installed from.
set -euo pipefail
cd "$(dirname "$0")/.."
# A user's own settings for pip and Python must not send packages elsewhere.
unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT
venv=.venv

say() { echo "setup: $*" >&2; }

usable() { # does .venv hold a Python in range, with pip?
    "$venv/bin/python" -c 'import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

make_venv() {
    usable && return
    local python version
    python=$(scripts/find_python.sh)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "making $venv with Python $version ($python)"
    # Debian and Ubuntu keep Python's ensurepip in a package apart, so it may be missing; there are ways round it.
    if with_ensurepip "$python" || with_own_pip "$python" || with_uv "$python"; then return; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing python$version-venv (this Python cannot make environments without it)"
        export DEBIAN_FRONTEND=noninteractive
        local log
        log=$({ apt-get -q update; apt-get -q -y --no-install-recommends install "python$version-venv"; } 2>&1) ||
            say "apt-get could not install it:"$'\n'"$(tail -5 <<<"$log")"
        if with_ensurepip "$python"; then return; fi
    fi
    say "$python cannot make environments. Run: sudo apt-get install python$version-venv   and then make again."
    exit 1
}
with_ensurepip() {
    "$1" -c 'import venv, ensurepip' 2>/dev/null && "$1" -m venv --clear --prompt scaleplan "$venv"
}
with_own_pip() {
    "$1" -c 'import venv, pip' 2>/dev/null && "$1" -m venv --clear --without-pip --prompt scaleplan "$venv" &&
        "$1" -m pip --quiet --disable-pip-version-check --python "$venv/bin/python" install pip && usable
}
with_uv() {
    command -v uv >/dev/null && uv venv --quiet --clear --seed --prompt scaleplan --python "$1" "$venv" && usable
}

requirements_of() { # $1: a dependency group; one requirement a line
    "$venv/bin/python" - "$1" <<'PY'
import sys
import tomllib
from pathlib import Path

groups = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]


def expand(name):
    if name not in groups:
        sys.exit(f"setup: pyproject.toml has no dependency group '{name}'; it has: {', '.join(sorted(groups))}")
    for item in groups[name]:
        if isinstance(item, str):
            yield item
        else:
            yield from expand(item["include-group"])


print(*expand(sys.argv[1]), sep="\n")
PY
}

make_venv
fingerprint=$({ pwd; "$venv/bin/python" -VV; cat pyproject.toml constraints.txt; } | sha256sum | cut -d' ' -f1)
is_current() { [ "$(cat "$venv/installed-$1" 2>/dev/null)" = "$fingerprint" ]; }

wanted=()
parts=()
if ! is_current scaleplan; then
    wanted+=(-e .)
    parts+=(scaleplan)
fi
for group in "$@"; do
    if ! is_current "$group"; then
        list=$(requirements_of "$group")
        mapfile -t -O "${#wanted[@]}" wanted <<<"$list"
        parts+=("$group")
    fi
done
[ "${#parts[@]}" -gt 0 ] || exit 0

say "installing ${parts[*]} at pinned versions (the first time takes a minute or two)"
# In the environment rather than on the command line: so the pins hold for the build back end too, old pip or new.
export PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
"$venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --progress-bar off "${wanted[@]}" || {
    say "the installation failed; pip's own words are above. Nothing outside $venv was changed."
    exit 1
}
for part in "${parts[@]}"; do echo "$fingerprint" >"$venv/installed-$part"; done
