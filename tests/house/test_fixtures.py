"""The shared fixtures do what they promise; above all, they fail when they should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.command_line import CommandLine, Finished
from tests.fixtures.fences import find_fences, first_not_printed, shows
from tests.fixtures.golden_text import GoldenText
from tests.fixtures.suites import Suite, find_suites

PAGE = """# A page

```console
$ echo one \\
>   two
one two
$ cat <<'END'
> a
>  b
> END
a
 b
$ true
```

<!-- exit: 3 -->
```sh
exit 3
```

1. A step:

    <!-- not run: needs a cluster -->

    ```console
    $ sbatch job.sh
    ```

```yaml
a: 1
```

<!-- not run: belongs to no fence below, there is text between -->

Some text.

```python
print("hello")
```
"""


class TestGoldenText:
    def test_missing_file_fails(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match=r"missing.*--update-golden"):
            GoldenText(tmp_path, update=False)("new.txt", "text")
        assert not (tmp_path / "new.txt").exists()

    @pytest.mark.parametrize("text", ["one\ntwo", "one\ntwo\n\n", "one\r\ntwo\n", "one\nTwo\n", "", "one\n"])
    def test_any_difference_fails(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "a.txt").write_bytes(b"one\ntwo\n")
        with pytest.raises(AssertionError, match="not what it was"):
            GoldenText(tmp_path, update=False)("a.txt", text)
        assert (tmp_path / "a.txt").read_bytes() == b"one\ntwo\n"

    @pytest.mark.parametrize("text", ["one\ntwo\n", "", "crlf\r\n", "ünïcode – no newline"])
    def test_update_writes_what_then_compares_equal(self, tmp_path: Path, text: str) -> None:
        GoldenText(tmp_path, update=True)("sub/a.txt", text)
        GoldenText(tmp_path, update=False)("sub/a.txt", text)

    def test_never_writes_outside_its_folder(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="outside"):
            GoldenText(tmp_path / "golden", update=True)("../a.txt", "text")
        assert not (tmp_path / "a.txt").exists()


class TestCommandLine:
    """Python itself stands in for the command."""

    def run(self, folder: Path, code: str, *args: str, **more: str) -> Finished:
        return CommandLine(folder, program=sys.executable)("-c", code, *args, **more)

    def test_gives_back_what_a_person_sees(self, tmp_path: Path) -> None:
        code = "import sys; print(sys.argv[1]); print('no', file=sys.stderr); sys.exit(3)"
        ended = self.run(tmp_path, code, "a b;c")
        assert (ended.stdout, ended.stderr, ended.exit_code) == ("a b;c\n", "no\n", 3)
        assert ended.exits(3) is ended
        with pytest.raises(AssertionError, match="exit code 3, not 0"):
            ended.done()

    def test_runs_in_its_folder_and_reads_stdin(self, tmp_path: Path) -> None:
        ended = self.run(tmp_path, "import os; print(os.getcwd(), input())", stdin="hello\n")
        assert ended.stdout == f"{tmp_path} hello\n"
        assert self.run(tmp_path, "import sys; print(repr(sys.stdin.read()))").stdout == "''\n"

    def test_a_traceback_fails_even_when_expected_to_fail(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="a traceback"):
            self.run(tmp_path, "raise ValueError('boom')")

    def test_json(self, tmp_path: Path) -> None:
        assert self.run(tmp_path, "print('[1, 2]')").json() == [1, 2]

    @pytest.mark.parametrize(
        ("code", "fault"),
        [
            ("import sys; print('half'); print('no', file=sys.stderr); sys.exit(2)", "printed on stdout"),
            ("import sys; print('no\\nno', file=sys.stderr); sys.exit(2)", "one line"),
            ("import sys; sys.exit(2)", "one line"),
            ("import sys; print('no', file=sys.stderr); sys.exit(1)", "exit code 1, not 2"),
        ],
    )
    def test_a_refusal_is_one_line_on_stderr(self, tmp_path: Path, code: str, fault: str) -> None:
        with pytest.raises(AssertionError, match=fault):
            self.run(tmp_path, code).refuses()

    def test_a_refusal_gives_its_line(self, tmp_path: Path) -> None:
        code = "import sys; print('a.yaml:3: unknown key', file=sys.stderr); sys.exit(2)"
        assert self.run(tmp_path, code).refuses() == "a.yaml:3: unknown key"


class TestFences:
    def test_finds_and_reads_the_marks(self, tmp_path: Path) -> None:
        path = tmp_path / "page.md"
        path.write_text(PAGE, encoding="utf-8")
        found = [(fence.language, fence.line, fence.not_run, fence.exit_code) for fence in find_fences(path)]
        assert found == [
            ("console", 3, "", 0),
            ("sh", 17, "", 3),
            ("console", 25, "needs a cluster", 0),
            ("python", 37, "", 0),
        ]

    def test_splits_a_console_at_its_prompts(self, tmp_path: Path) -> None:
        path = tmp_path / "page.md"
        path.write_text(PAGE, encoding="utf-8")
        first, second, third = find_fences(path)[0].commands()
        assert (first.text, first.expected) == ("echo one \\\n  two", "one two")
        assert (second.text, second.expected) == ("cat <<'END'\na\n b\nEND", "a\n b")
        assert (third.text, third.expected) == ("true", None)
        assert find_fences(path)[2].commands()[0].text == "sbatch job.sh"

    def test_a_console_without_a_prompt_is_a_fault_of_the_page(self, tmp_path: Path) -> None:
        path = tmp_path / "page.md"
        path.write_text("```console\nscaleplan doctor\n```\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"page\.md:1"):
            find_fences(path)[0].commands()

    @pytest.mark.parametrize(
        ("expected", "printed", "same"),
        [
            ("one\ntwo", "one\ntwo\n", True),
            ("one\ntwo", "one  \ntwo", True),
            ("one", "one\ntwo\n", False),
            ("one\n...", "one\ntwo\nthree\n", True),
            ("one\n...", "one\n", True),
            ("...\nthree", "one\ntwo\nthree\n", True),
            ("took ... s", "took 1.25 s\n", True),
            ("took ... s", "took 1.25\ns\n", False),
            ("a.b", "axb\n", False),
            ("  indented", "indented\n", False),
            ("one", "   \none\n  \n", True),
        ],
    )
    def test_compares_with_dots_as_any_text(self, expected: str, printed: str, same: bool) -> None:
        assert shows(expected, printed) is same

    @pytest.mark.parametrize(
        ("expected", "printed", "line"),
        [("one\ntwo\nthree", "one\nzwei\nthree\n", "two"), ("one\n...\nfour", "one\ntwo\n", "four")],
    )
    def test_names_the_line_where_the_output_parts_from_the_page(self, expected: str, printed: str, line: str) -> None:
        assert first_not_printed(expected, printed) == line

    def test_names_the_end_when_more_is_printed_than_shown(self) -> None:
        assert first_not_printed("one", "one\ntwo\n") == "(the end of what the page shows)"


class TestSuites:
    def suite(self, folder: Path, text: str) -> Suite:
        folder.mkdir(exist_ok=True)
        (folder / "needs.toml").write_text(text, encoding="utf-8")
        return Suite.read(folder / "needs.toml")

    def test_a_command_that_is_here_is_no_obstacle(self, tmp_path: Path) -> None:
        assert self.suite(tmp_path, 'commands = ["no-such-command|sh"]').obstacle() == ""

    def test_a_missing_command_is_named_with_its_remedy(self, tmp_path: Path) -> None:
        suite = self.suite(tmp_path, 'why = "a broom"\ncommands = ["sh", "no-such-broom|no-mop"]\napt = ["broom"]')
        assert suite.obstacle() == ("needs no-such-broom or no-mop (a broom); as root: apt-get install broom")

    def test_a_missing_module_is_named(self, tmp_path: Path) -> None:
        assert "no_such_module" in self.suite(tmp_path, 'modules = ["json", "no_such_module"]').obstacle()

    def test_root_is_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        suite = self.suite(tmp_path, 'why = "a real Slurm"\nroot = true')
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert suite.obstacle() == "needs root (a real Slurm)"
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        assert suite.obstacle() == ""

    @pytest.mark.parametrize("text", ['command = ["sh"]', 'apt = "sh"', 'root = "yes"'])
    def test_a_wrong_key_or_type_is_refused(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ValueError, match=r"needs\.toml"):
            self.suite(tmp_path, text)

    def test_finds_suites_by_folder(self, tmp_path: Path) -> None:
        self.suite(tmp_path / "b", "serial = true")
        self.suite(tmp_path / "a", "root = true")
        assert [(suite.name, suite.serial) for suite in find_suites(tmp_path)] == [
            ("tests/a", False),
            ("tests/b", True),
        ]


def test_xdist_keeps_a_group_in_one_worker(tmp_path: Path) -> None:
    (tmp_path / "test_group.py").write_text(
        "import os, pathlib, pytest\n"
        "pytestmark = pytest.mark.xdist_group('one')\n"
        "@pytest.mark.parametrize('i', range(8))\n"
        "def test_worker(i):\n"
        "    pathlib.Path('workers').open('a').write(os.environ['PYTEST_XDIST_WORKER'] + '\\n')\n"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "."]
    ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    workers = (tmp_path / "workers").read_text().split()
    assert len(workers) == 8
    assert len(set(workers)) == 1
