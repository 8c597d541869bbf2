"""Fabric files changed at random: built, or refused in one line that names the file. Never anything else."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.errors import InputError
from topologies.files.fabric_file import fabric_of
from topologies.files.loading import parse_document

PAGES = sorted((Path(__file__).parents[2] / "docs" / "kinds").glob("*.md"))
FILES = [
    yaml.safe_load(fence.split("```")[0])
    for page in PAGES
    for fence in page.read_text(encoding="utf-8").split("```yaml\n")[1:]
]
VALUES: list[Any] = [None, True, 0, -1, 1, 2, 3, 7, 64, 1.5, -2.5, 10_000_000, "", "x", "no", "4:1", "0:0", "h[0-3]"]
VALUES += [[], [1], [2, 2], ["a"], {}, {"a": 1}, "qm9700", "h100-sxm", "nvlink-5-switch", "{}{}", "{:d}", "by-rail"]


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in inner for place in [(*path, key), *places(part, (*path, key))]]


@settings(max_examples=400)
@given(data=st.data())
def test_changed_files_are_built_or_refused(data: st.DataObject) -> None:
    file = copy.deepcopy(data.draw(st.sampled_from(FILES)))
    *outer, last = data.draw(st.sampled_from(places(file)))
    holder = file
    for key in outer:
        holder = holder[key]
    if data.draw(st.booleans()):
        holder[last] = data.draw(st.sampled_from(VALUES))
    else:
        del holder[last]
    try:
        fabric = fabric_of(parse_document(json.dumps(file, indent=1), "fabric.json"))
    except InputError as error:
        message = error.message
    else:
        assert fabric.num_accelerators > 0
        return
    assert message.startswith("fabric.json")
    assert "\n" not in message


def test_sizes_that_no_machine_holds_are_refused_at_once() -> None:
    torus = "schema_version: 1\nkind: torus\nname: t\ngrid: {shape: [10000000, 10000000], host_shape: [2, 2]}\n"
    with pytest.raises(InputError) as caught:
        fabric_of(parse_document(torus + "hosts: {accelerator: tpu-v5e}\n", "f.yaml"))
    assert caught.value.message == (
        "f.yaml:5: hosts: the fabric has too many accelerators; found: 25000000000000 hosts with 4 each; "
        "allowed: at most 4000000; fix: check the counts, or model a part of the site"
    )
    tree = (
        "schema_version: 1\nkind: tree\nname: t\nroot:\n  names: r\n  part: qm9700\n"
        "  hosts: [{part: dgx-h100, count: 100000, nic_ports: 100}]\n"
    )
    with pytest.raises(InputError, match="the fabric has too many NIC cables; found: 100000 hosts with 800 each"):
        fabric_of(parse_document(tree, "f.yaml"))
