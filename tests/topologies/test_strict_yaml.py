"""The strict YAML door: what it reads, and the one line it says about everything it refuses."""

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topologies.errors import InputError
from topologies.files.document import key_path_text
from topologies.files.loading import load_document, parse_document
from topologies.files.reading import decode_text
from topologies.files.strict_yaml import parse_yaml


def fault(text: str, name: str = "f.yaml") -> str:
    with pytest.raises(InputError) as caught:
        parse_document(text, name)
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2
    return caught.value.message


def test_reads_plain_values_and_knows_their_lines() -> None:
    text = "a: 1\nb:\n  - x\n  - {c: 0x1F, d: 1.5e-6}\ne: [true, null, ~, '5', \"no\"]\nf: 4:1\ng: 2023-01-01\n"
    document = parse_yaml(text, "f.yaml")
    assert document.root == {
        "a": 1,
        "b": ["x", {"c": 31, "d": 1.5e-6}],
        "e": [True, None, None, "5", "no"],
        "f": "4:1",
        "g": "2023-01-01",
    }
    assert document.line(("a",)) == 1
    assert document.line(("b", 1, "d")) == 4
    assert document.line(("b", 7)) == 2
    assert document.where(("b", 1, "d")) == "f.yaml:4: b[1].d"


def test_aliases_and_merges_that_stay_small_are_read() -> None:
    document = parse_yaml("base: &b {a: 1, c: 2}\nuse:\n  <<: *b\n  c: 3\nlist: [*b, *b]\n", "f.yaml")
    assert document.root["use"] == {"a": 1, "c": 3}
    assert document.root["list"] == [{"a": 1, "c": 2}] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rate_gbps: 1e9\n",
            "f.yaml:1: rate_gbps: some readers take this for text and others for a number; found: 1e9; "
            "allowed: a number with a digit before the point, and with a point and a sign if it has an exponent; "
            "fix: write 1.0e+9 or 1000000000",
        ),
        (
            "a: 1\nkind: no\n",
            "f.yaml:2: kind: some readers take no for a truth value and others for text; found: no; "
            'allowed: true, false, or text in quotes; fix: write false or "no"',
        ),
        (
            "a: {b: 1,\n b: 2}\n",
            "f.yaml:2: a.b: the key stands twice; found: b on line 1 and on line 2; allowed: each key once; "
            "fix: take one of them out",
        ),
        (
            "a:\n\t- b\n",
            "f.yaml:2: a tab is used for indentation; found: '- b'; fix: indent by spaces",
        ),
        ("a: 010\n", None),
        ("a: 1_000\n", None),
        ("a: 1.0e9\n", None),
        ("a: .5\n", None),
        (
            "a: .nan\n",
            "f.yaml:1: a: a number is not finite; found: .nan; allowed: finite numbers; "
            "fix: leave the key out, or give a number",
        ),
        ("a: 1.0e+999\n", "f.yaml:1: a: a number is out of range; found: 1.0e+999; allowed: finite numbers"),
        (
            f"a: {2**63}\n",
            "f.yaml:1: a: a number is out of range; found: 9223372036854775808; "
            "allowed: whole numbers from -2^63 to 2^63-1",
        ),
        ("1: a\n", 'f.yaml:1: a key must be text; found: 1; fix: write "1" in quotes'),
        ("? [a]\n: b\n", "f.yaml:1: a key must be text; found: a mapping, a list or an alias; fix: write a word"),
        ("on: a\n", None),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "f.yaml:1: a: tags are not allowed; found: !!python/object/apply:os.system; allowed: plain values; "
            "fix: take the tag out",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "f.yaml:2: a second document begins; found: ---; allowed: one document a file; fix: split the file",
        ),
        ("# only this\n", "f.yaml: the file holds no document; fix: write keys and values into it"),
        ("a: *b\n", "f.yaml:1: a: an alias names no anchor above it; found: *b; fix: write the value out"),
        ("a: &a [*a]\n", "f.yaml:1: a[0]: an alias points at what contains it; found: *a"),
        ("[" * 100_000, "f.yaml:1: nested too deeply; allowed: 64 levels; fix: flatten the document"),
        (
            "a: [1,\n",
            "f.yaml:2: not well-formed YAML: did not find expected node content; found: 'the end of the file'; "
            "fix: check the parsing a flow node",
        ),
    ],
)
def test_refusals(text: str, message: str | None) -> None:
    found = fault(text)
    assert found.startswith("f.yaml:")
    if message is not None:
        assert found == message


def test_alias_bomb_is_counted_not_built() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for this, last in zip("bcdefghi", "abcdefgh", strict=True):
        text += f"{this}: &{this} [{', '.join([f'*{last}'] * 9)}]\n"
    assert fault(text) == (
        "f.yaml:7: the document is too large once its aliases are written out; "
        "allowed: at most 2000000 keys and values; fix: state it in a shorter form"
    )


def test_a_200_mb_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.touch()
    os.truncate(path, 200_000_000)
    with pytest.raises(InputError) as caught:
        load_document(path)
    assert caught.value.message == (
        f"{path}: the file is too large; found: 200000000 bytes; allowed: at most 33554432 bytes; "
        "fix: state it in a shorter form, or split it"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "{path}: the file is empty; fix: write a document into it"),
        (b" \n\n", "{path}: the file is empty; fix: write a document into it"),
        (
            b"\x7fELF\x02\x01\x01\x00\xff",
            "{path}:1: not a text file in UTF-8; found: byte 0xff at offset 8; allowed: UTF-8 text; "
            "fix: save the file as UTF-8",
        ),
        (
            b"a: 1\nb: \x00\n",
            "{path}:2: not a text file; found: control character U+0000; allowed: UTF-8 text; "
            "fix: name a text file, or take the character out",
        ),
        (
            "a: 1\n".encode("utf-16"),
            "{path}:1: not a text file in UTF-8; found: byte 0xff at offset 0; allowed: UTF-8 text; "
            "fix: save the file as UTF-8",
        ),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load_document(path)
    assert caught.value.message == message.format(path=path)


def test_missing_files_folders_and_bad_names(tmp_path: Path) -> None:
    (tmp_path / "fabric.yaml").write_text("a: 1\n")
    with pytest.raises(InputError) as caught:
        load_document(tmp_path / "fabrik.yaml")
    assert caught.value.message == (f"{tmp_path}/fabrik.yaml: no such file; fix: did you mean {tmp_path}/fabric.yaml?")
    with pytest.raises(InputError, match=r"no such file; fix: the folder .* does not exist either"):
        load_document(tmp_path / "no" / "f.yaml")
    with pytest.raises(InputError, match="this is a folder, not a file"):
        load_document(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        load_document("a\x00b.yaml")


JSON_FAULTS = [
    ('{"a": 1,\n "a": 2}', 'f.json:2: a key stands twice in one object; found: "a"; allowed: each key once'),
    ('{"a":\n NaN}', "f.json:2: a number is not finite; found: NaN; allowed: finite numbers"),
    ('{"a": 1e999}', "f.json:1: a number is out of range; found: 1e999; allowed: finite numbers"),
    (
        "[1, 2",
        "f.json:1:6: not well-formed JSON: expecting ',' delimiter; found: the end of the file; "
        "fix: mend the file at that column",
    ),
    ('["\\ud800"]', "f.json: a \\u escape is half of a surrogate pair; allowed: whole characters"),
    ("[" * 100_000, "f.json: nested too deeply; fix: flatten the document"),
    ("1" * 5000, None),
]


@pytest.mark.parametrize(("text", "message"), JSON_FAULTS)
def test_json_refusals(text: str, message: str | None) -> None:
    found = fault(text, "f.json")
    if message is not None:
        assert found == message


def test_json_lines_are_found_on_demand() -> None:
    document = parse_document('{"a": {"x": [1, {"y": "a,}]"}]},\n "b": [{"c": 1},\n  {"c":\n 2, "d": 3}]}', "f.json")
    assert document.line(("a", "x", 1, "y")) == 1
    assert document.line(("b",)) == 2
    assert document.line(("b", 1)) == 3
    assert document.line(("b", 1, "d")) == 4
    assert document.line(("b", 9)) == 2


def test_key_paths_read_well() -> None:
    assert key_path_text(("links", 3, "rate_gbps")) == "links[3].rate_gbps"
    assert key_path_text(("a b", "c")) == "['a b'].c"


def message_of(read: Callable[[], object]) -> str:
    try:
        read()
    except InputError as error:
        return error.message
    return "f."


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    for name in ("f.yaml", "f.json"):
        message = message_of(functools.partial(parse_document, text, name))
        assert message.startswith("f.")
        assert "\n" not in message


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(data: bytes) -> None:
    message = message_of(lambda: parse_document(decode_text(data, "f.yaml"), "f.yaml"))
    assert message.startswith("f.")


YAML_WORDS = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.booleans(), st.none(), st.text(max_size=8), st.floats(-1e300, 1e300)
)


@given(
    st.recursive(YAML_WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
)
def test_json_reads_back_what_was_written(value: object) -> None:
    assert parse_document(json.dumps(value), "f.json").root == value
