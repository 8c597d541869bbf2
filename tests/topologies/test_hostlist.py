from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topologies.errors import InputError
from topologies.hostlist import MAX_HOSTS, compress_hosts, expand_hosts, is_host_name


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("gpu0001", ("gpu0001",)),
        ("gpu[0001-0003,0010]", ("gpu0001", "gpu0002", "gpu0003", "gpu0010")),
        ("a,b[2-3],c", ("a", "b2", "b3", "c")),
        ("r[1-2]n[09-10]", ("r1n09", "r1n10", "r2n09", "r2n10")),
        ("n[9-11]-ib", ("n9-ib", "n10-ib", "n11-ib")),
        ("node[1]", ("node1",)),
        ("", ()),
        ("(null)", ()),
        ("b,a", ("b", "a")),
    ],
)
def test_expand(text: str, hosts: tuple[str, ...]) -> None:
    assert expand_hosts(text) == hosts


@pytest.mark.parametrize(
    ("hosts", "text"),
    [
        (["gpu0003", "gpu0001", "gpu0002", "gpu0010"], "gpu[0001-0003,0010]"),
        (["n9", "n10", "n11"], "n[9-11]"),
        (["n09", "n10"], "n[09-10]"),
        (["n1", "n01"], "n[1,01]"),
        (["login", "gpu1", "gpu1"], "gpu1,login"),
        (["r1n1", "r1n2", "r2n1"], "r1n[1-2],r2n1"),
        ([], ""),
    ],
)
def test_compress(hosts: list[str], text: str) -> None:
    assert compress_hosts(hosts) == text


@pytest.mark.parametrize(
    "text",
    [
        "gpu[1-",
        "gpu]1[",
        "a[[1]]",
        "a[1-2-3]",
        "a[x]",
        "a[3-1]",
        "a[1-9999999]",
        "a[1-1000]b[1-1000]",
        "a,,b",
        "a b",
        "a;reboot",
        "$(id)",
        "a\nupdate",
        "a'b",
        "[1-2]x" + "[1]" * 5,
        "-a",
        "a[1-65533],b",
        "x" * 2_000_000,
        "a[" + "9" * 4000 + "]",
    ],
)
def test_what_is_no_host_list_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        expand_hosts(text)
    assert len(str(caught.value)) < 600
    assert "fix" in str(caught.value)


def test_a_whole_cluster_at_the_limit_is_read() -> None:
    assert len(expand_hosts(f"a[1-{MAX_HOSTS}]")) == MAX_HOSTS


_name = st.from_regex(r"\A[a-z]{1,4}[0-9]{0,4}(-[a-z]{1,2}[0-9]{0,3})?\Z")


@given(st.lists(_name, max_size=60))
def test_what_is_compressed_expands_to_the_same_set(names: list[str]) -> None:
    text = compress_hosts(names)
    expanded = expand_hosts(text)
    assert set(expanded) == set(names)
    assert len(expanded) == len(set(names))
    assert compress_hosts(reversed(expanded)) == text


@given(st.text(max_size=80))
def test_any_text_gives_host_names_or_one_clear_error(text: str) -> None:
    message, hosts = "", ()
    try:
        hosts = expand_hosts(text)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert all(is_host_name(host) for host in hosts)
