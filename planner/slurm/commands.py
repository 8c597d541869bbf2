"""The only door to Slurm: ``scontrol`` and ``squeue`` as child processes, without a shell, bounded in time and size."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from topologies.errors import ScaleplanError

__all__ = ["TIME_FORMAT_EPOCH", "CallingBack", "CommandError", "CommandOutput", "SlurmCommands", "SlurmTools"]

TIME_FORMAT_EPOCH = "%s"  # SLURM_TIME_FORMAT is handed to strftime: times come as seconds since the epoch
DEFAULT_TIMEOUT_S = 15.0
MAX_OUTPUT_BYTES = 256 * 2**20  # 1,000 queue lines are about 0.5 MB of scontrol text
_ERROR_BYTES = 65_536
_PASSED_ON = ("SLURM_CONF", "PATH", "TZ", "LD_LIBRARY_PATH")


class CommandError(ScaleplanError):
    """A Slurm command failed, hung or said too much."""


@dataclass(frozen=True)
class CommandOutput:
    """What a command said and how it ended."""

    stdout: str
    stderr: str
    returncode: int


class SlurmCommands(Protocol):
    """What the daemon needs of Slurm's tools; tests put a scripted one here."""

    def run(self, argv: Sequence[str], *, stdin_text: str | None = None, check: bool = True) -> CommandOutput:
        """Run ``scontrol``, ``squeue``, ``sinfo`` or ``sacct`` with arguments."""
        ...


@dataclass(frozen=True)
class CallingBack:
    """Slurm's tools, and what is done after each of their answers: a slow Slurm must not stop the heartbeat."""

    commands: SlurmCommands
    after_each: Callable[[], None]

    def run(self, argv: Sequence[str], *, stdin_text: str | None = None, check: bool = True) -> CommandOutput:
        """Run one command, then what is to be done."""
        answer = self.commands.run(argv, stdin_text=stdin_text, check=check)
        self.after_each()
        return answer


@dataclass(frozen=True)
class SlurmTools:
    """Slurm's tools as found on this machine.

    Parameters
    ----------
    bin_dir
        Folder of the tools; ``None`` looks along PATH.
    slurm_conf
        Path handed on as ``SLURM_CONF``; ``None`` keeps the environment's.
    timeout_s
        A call that takes longer is ended and counts as failed.
    """

    bin_dir: Path | None = None
    slurm_conf: Path | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    max_output_bytes: int = MAX_OUTPUT_BYTES
    extra_env: dict[str, str] = field(default_factory=dict)

    def _environment(self) -> dict[str, str]:
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
        env |= {"LC_ALL": "C.UTF-8", "SLURM_TIME_FORMAT": TIME_FORMAT_EPOCH, "SLURM_BITSTR_LEN": "0"} | self.extra_env
        if self.slurm_conf is not None:
            env["SLURM_CONF"] = str(self.slurm_conf)
        return env

    def _find(self, name: str) -> str:
        found = shutil.which(name, path=str(self.bin_dir) if self.bin_dir else self._environment()["PATH"])
        if found is None:
            raise CommandError(
                what=f"{name} not found",
                where=self.bin_dir or "PATH",
                fix="install Slurm's client tools or give their folder with bin_dir",
            )
        return found

    def run(self, argv: Sequence[str], *, stdin_text: str | None = None, check: bool = True) -> CommandOutput:
        """Run one command without a shell.

        Raises
        ------
        CommandError
            If the command is missing, takes longer than ``timeout_s``, writes more than ``max_output_bytes`` or,
            with `check`, ends with an error.
        """
        program = self._find(argv[0])
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
            if stdin_text is not None:
                stdin.write(stdin_text.encode())
                stdin.seek(0)
            try:
                process = subprocess.Popen(
                    [program, *argv[1:]],
                    stdin=stdin if stdin_text is not None else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=self._environment(),
                    cwd="/",
                    close_fds=True,
                )
            except OSError as error:
                raise CommandError(what=f"cannot start {argv[0]}", where=program, found=error) from error
            try:
                stdout = self._read(process, argv)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
            stderr.seek(0)
            said = stderr.read(_ERROR_BYTES).decode(errors="replace")
        if check and process.returncode != 0:
            raise CommandError(
                what=f"{argv[0]} failed ({process.returncode})", where=" ".join(argv[:4]), found=said.strip()
            )
        return CommandOutput(stdout, said, process.returncode)

    def _read(self, process: subprocess.Popen[bytes], argv: Sequence[str]) -> str:
        """Read stdout to its end, within the limits of time and size."""
        assert process.stdout is not None
        limit = time.monotonic() + self.timeout_s
        chunks: list[bytes] = []
        size = 0
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(max(0.0, limit - time.monotonic())):
                    raise CommandError(
                        what=f"{argv[0]} gave no answer in {self.timeout_s:g} s", where=" ".join(argv[:4])
                    )
                chunk = os.read(process.stdout.fileno(), 1 << 20)
                if not chunk:
                    break
                chunks.append(chunk)
                size += len(chunk)
                if size > self.max_output_bytes:
                    raise CommandError(
                        what=f"{argv[0]} wrote more than {self.max_output_bytes} bytes", where=" ".join(argv[:4])
                    )
        try:
            process.wait(max(0.1, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise CommandError(
                what=f"{argv[0]} did not end in {self.timeout_s:g} s", where=" ".join(argv[:4])
            ) from None
        return b"".join(chunks).decode(errors="replace")
