"""An emulated Slurm cluster from the distribution's packages: one munged, one slurmctld, one slurmd a node.

Everything lives in one temporary folder: keys, sockets, spool, logs and pid files; several clusters can run side by
side. Nothing outside that folder is touched, and only the processes of the pid files in it are ever signalled.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

NEEDED_COMMANDS = ("slurmctld", "slurmd", "scontrol", "squeue", "sbatch", "munged")
FIRST_PORT, LAST_PORT = 12000, 31000  # below the range the kernel hands out (32768 and up)

_SLURM_CONF = """\
ClusterName={name}
SlurmctldHost={hostname}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={first_port}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={root}/munge/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd.%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd.%n.log
SlurmctldDebug=info
SlurmdDebug=error
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
TopologyPlugin=topology/tree
SchedulerType=sched/backfill
SchedulerParameters={scheduler_parameters}
GresTypes=gpu
SlurmdParameters=config_overrides
SlurmdTimeout=600
SlurmctldTimeout=120
ReturnToService=2
MaxJobCount=20000
MinJobAge=3600
JobCompType=jobcomp/filetxt
JobCompLoc={root}/log/jobcomp.log
{extra}
NodeName={nodes} NodeAddr=127.0.0.1 NodeHostname={hostname} Port=[{first_port}-{last_port}] CPUs=32 Boards=1 \
SocketsPerBoard=2 CoresPerSocket=16 ThreadsPerCore=1 RealMemory=2000000 Gres=gpu:{gpus_per_node} State=UNKNOWN
{partitions}
"""


class EmulatorError(RuntimeError):
    """The emulated cluster did not do what the test needs; the message holds the tail of the logs."""


def missing_commands() -> list[str]:
    """Return the commands that the emulator needs and this machine lacks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return [name for name in NEEDED_COMMANDS if shutil.which(name, path=path) is None]


def wait_for(condition: Callable[[], object], *, timeout_s: float, what: str, poll_s: float = 0.05) -> None:
    """Poll `condition` until it holds; raise `EmulatorError` naming `what` when `timeout_s` is over."""
    limit = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > limit:
            raise EmulatorError(f"timed out after {timeout_s} s waiting for {what}")
        time.sleep(poll_s)


def _free_port_range(count: int) -> int:
    """Return the first of `count` ports in a row that nothing listens on."""
    chooser = random.SystemRandom()
    for _ in range(200):
        first = chooser.randrange(FIRST_PORT, LAST_PORT - count)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise EmulatorError(f"no {count} free ports in a row between {FIRST_PORT} and {LAST_PORT}")


@dataclass
class EmulatedCluster:
    """One emulated cluster; use as a context manager.

    Parameters
    ----------
    num_nodes
        Nodes ``gpu0001`` … of ``gpus_per_node`` GPUs each.
    nodes_per_leaf, leaves_per_pod
        Shape of the switch tree written to ``topology.conf``.
    lua
        Text of ``job_submit.lua``, or ``None`` for a Slurm without a submit plugin.
    extra
        Further lines of ``slurm.conf``.
    """

    num_nodes: int = 64
    gpus_per_node: int = 8
    nodes_per_leaf: int = 8
    leaves_per_pod: int = 4
    lua: str | None = None
    extra: str = ""
    partitions: str = ""
    scheduler_parameters: str = (
        "bf_interval=5,sched_interval=5,sched_min_interval=10000,default_queue_depth=2000,batch_sched_delay=1"
    )
    root: Path = field(init=False)
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self.root.chmod(0o755)
        self.env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SLURM_CONF": str(self.etc / "slurm.conf"),
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
        }

    @property
    def etc(self) -> Path:
        """The folder of slurm.conf, topology.conf, gres.conf and job_submit.lua."""
        return self.root / "etc"

    @property
    def node_names(self) -> list[str]:
        """All node names, in order."""
        return [f"gpu{i:04d}" for i in range(1, self.num_nodes + 1)]

    def leaf_of(self, node: str) -> int:
        """Return the number of the leaf that `node` is cabled to."""
        return (int(node[3:]) - 1) // self.nodes_per_leaf

    def __enter__(self) -> EmulatedCluster:
        try:
            self._write_files()
            self._start_munge()
            self.start_controller(clean=True)
            self._start_nodes()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # ------------------------------------------------------------------ files

    def _write_files(self) -> None:
        for name in ("etc", "state", "spool", "run", "log", "dev", "munge"):
            (self.root / name).mkdir(mode=0o755)
        for i in range(self.gpus_per_node):
            (self.root / f"dev/nvidia{i}").symlink_to("/dev/null")
        names = f"gpu[{1:04d}-{self.num_nodes:04d}]"
        self.first_port = _free_port_range(self.num_nodes + 1)
        conf = _SLURM_CONF.format(
            name=f"emu{self.first_port}",
            hostname=socket.gethostname().split(".")[0],
            root=self.root,
            ctld_port=self.first_port + self.num_nodes,
            first_port=self.first_port,
            last_port=self.first_port + self.num_nodes - 1,
            nodes=names,
            gpus_per_node=self.gpus_per_node,
            scheduler_parameters=self.scheduler_parameters,
            extra=self.extra + ("\nJobSubmitPlugins=lua" if self.lua is not None else ""),
            partitions=self.partitions or f"PartitionName=batch Nodes={names} Default=YES MaxTime=INFINITE State=UP",
        )
        (self.etc / "slurm.conf").write_text(conf)
        (self.etc / "gres.conf").write_text(
            f"NodeName={names} Name=gpu File={self.root}/dev/nvidia[0-{self.gpus_per_node - 1}]\n"
        )
        (self.etc / "topology.conf").write_text(self._topology())
        (self.etc / "plugstack.conf").write_text("")
        if self.lua is not None:
            (self.etc / "job_submit.lua").write_text(self.lua)

    def _topology(self) -> str:
        lines, leaves = [], []
        for first in range(1, self.num_nodes + 1, self.nodes_per_leaf):
            leaves.append(f"leaf{len(leaves) + 1:03d}")
            last = min(first + self.nodes_per_leaf - 1, self.num_nodes)
            lines.append(f"SwitchName={leaves[-1]} Nodes=gpu[{first:04d}-{last:04d}]")
        pods = []
        for first in range(0, len(leaves), self.leaves_per_pod):
            pods.append(f"pod{len(pods) + 1:02d}")
            lines.append(f"SwitchName={pods[-1]} Switches={','.join(leaves[first : first + self.leaves_per_pod])}")
        lines.append(f"SwitchName=core Switches={','.join(pods)}")
        return "\n".join(lines) + "\n"

    # -------------------------------------------------------------- processes

    def _start_munge(self) -> None:
        folder = self.root / "munge"
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        subprocess.run(
            [
                "/usr/sbin/munged",
                "--force",
                f"--key-file={key}",
                f"--socket={folder}/munge.socket",
                f"--pid-file={self.root}/run/munged.pid",
                f"--log-file={self.root}/log/munged.log",
                f"--seed-file={folder}/munge.seed",
                "--num-threads=2",
            ],
            check=True,
            capture_output=True,
            timeout=30,
        )

    def _spawn(self, name: str, *args: str) -> None:
        """Start a Slurm daemon, which puts itself in the background; its argv[0] must be its plain name."""
        done = subprocess.run(
            [name, *args],
            executable=f"/usr/sbin/{name}",
            env=self.env,
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise EmulatorError(f"{name} {' '.join(args)} failed: {done.stderr[-2000:]}")

    def start_controller(self, *, clean: bool = False) -> None:
        """Start slurmctld and wait until it answers; `clean` forgets the saved state."""
        self._spawn("slurmctld", *(["-c"] if clean else []))
        wait_for(self.answers, timeout_s=60, what=f"slurmctld to answer\n{self.controller_log()[-2000:]}")

    def stop_controller(self, *, kill: bool = False) -> None:
        """Stop slurmctld and wait until it has gone."""
        self._signal(self.root / "run/slurmctld.pid", signal.SIGKILL if kill else signal.SIGTERM)

    def answers(self) -> bool:
        """Whether slurmctld answers a ping."""
        return "is UP" in self.run("scontrol", "ping", check=False).stdout

    def _start_nodes(self) -> None:
        for node in self.node_names:
            (self.root / "spool" / node).mkdir(mode=0o755)
            self._spawn("slurmd", "-N", node)
        wait_for(lambda: self._num_idle() == self.num_nodes, timeout_s=120, what="all nodes idle", poll_s=0.2)

    def _num_idle(self) -> int:
        text = self.run("sinfo", "-h", "-o", "%t %D", check=False).stdout
        return sum(int(count) for state, count in (line.split() for line in text.splitlines()) if state == "idle")

    def stop_node(self, node: str) -> None:
        """Kill one slurmd, as when a node loses power."""
        self._signal(self.root / f"run/slurmd.{node}.pid", signal.SIGKILL)

    def start_node(self, node: str) -> None:
        """Start one slurmd again."""
        self._spawn("slurmd", "-N", node)

    def _signal(self, pid_file: Path, number: int, *, grace_s: float = 10.0) -> None:
        try:
            pid = int(pid_file.read_text())
            os.kill(pid, number)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return
        limit = time.monotonic() + grace_s
        while _alive(pid) and time.monotonic() < limit:
            time.sleep(0.02)
        if _alive(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        pid_file.unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop everything by the pid files of this cluster and remove its folder."""
        with contextlib.suppress(Exception):
            self.run("scancel", "--full", "--state=RUNNING", "-u", "root", check=False, timeout_s=10)
        run = self.root / "run"
        pid_files = sorted(run.glob("slurmd.*.pid")) if run.is_dir() else []
        self._signal(run / "slurmctld.pid", signal.SIGTERM)
        for pid_file in pid_files:
            with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
                os.kill(int(pid_file.read_text()), signal.SIGTERM)
        for pid_file in pid_files:
            self._signal(pid_file, signal.SIGTERM, grace_s=5.0)
        for pid in _steps_of(self.root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._signal(run / "munged.pid", signal.SIGTERM)
        shutil.rmtree(self.root, ignore_errors=True)

    # --------------------------------------------------------------- commands

    def run(
        self, *argv: str, check: bool = True, timeout_s: float = 60, text_in: str | None = None, user: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a Slurm command against this cluster."""
        return subprocess.run(
            argv,
            env=self.env,
            check=check,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            input=text_in,
            stdin=subprocess.DEVNULL if text_in is None else None,
            user=user,
            group="nogroup" if user else None,
            extra_groups=[] if user else None,
            cwd="/",
        )

    def sbatch(self, *options: str, wrap: str = "sleep 1", user: str | None = None, cwd: str = "/") -> int:
        """Submit a job that writes nothing and return its number."""
        done = self.run(
            "sbatch", "--parsable", "-o", "/dev/null", "-D", cwd, *options, f"--wrap={wrap}", check=False, user=user
        )
        if done.returncode != 0:
            raise EmulatorError(f"sbatch failed: {done.stderr.strip()}")
        return int(done.stdout.split(";")[0].strip())

    def job(self, job_id: int) -> dict[str, str]:
        """Return ``scontrol show job`` as a dictionary; for jobs with plain names only."""
        text = self.run("scontrol", "-o", "show", "job", str(job_id)).stdout
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def states(self) -> dict[int, str]:
        """Return the state of every job the controller knows."""
        text = self.run("squeue", "-h", "-a", "-r", "-t", "all", "-O", "JobID:12,State:20").stdout
        return {int(line[:12]): line[12:].strip() for line in text.splitlines()}

    def placed(self) -> dict[int, list[str]]:
        """Return the nodes of every job that has or had some, by the controller's own account."""
        text = self.run("squeue", "-h", "-a", "-r", "-t", "all", "-O", "JobID:12,NodeList:4096").stdout
        found = {int(line[:12]): line[12:].strip() for line in text.splitlines()}
        return {job: _expand(names) for job, names in found.items() if names}

    def completed(self) -> list[dict[str, str]]:
        """Return the records of Slurm's own accounting (``jobcomp/filetxt``)."""
        path = self.root / "log/jobcomp.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]

    def controller_log(self) -> str:
        """Return the text of slurmctld's log."""
        path = self.root / "log/slurmctld.log"
        return path.read_text(errors="replace") if path.exists() else ""


def _expand(names: str) -> list[str]:
    """Expand ``gpu[0001-0003,0010]``; the emulator's names have one bracket at the end at most."""
    if "[" not in names:
        return names.split(",")
    prefix, _, rest = names.partition("[")
    found = []
    for part in rest.rstrip("]").split(","):
        first, _, last = part.partition("-")
        found += [f"{prefix}{i:0{len(first)}d}" for i in range(int(first), int(last or first) + 1)]
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _steps_of(root: Path) -> Iterator[int]:
    """Yield the slurmstepd processes left over from this cluster, found by the SLURM_CONF they were given."""
    mark = f"SLURM_CONF={root}/".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().strip() == "slurmstepd" and mark in (entry / "environ").read_bytes():
                    yield int(entry.name)
