"""A Slurm in memory that answers scontrol and squeue as releases 22.05 to 26.05 do, with a clock of its own.

It knows what the planner leans on: begin times, required nodes (a subset is filled up, a superset never starts), held
priorities, and topology/block's refusal of a scattered node list (BadConstraints, priority 0), with segments.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from planner.slurm.commands import CommandOutput
from planner.slurm.read_jobs import SQUEUE_FORMAT, read_details, read_queue_and_ends
from planner.slurm.read_site import read_config, read_nodes, read_partitions, read_reservations
from planner.slurm.read_topology import read_partition_kinds, read_topology
from planner.slurm.snapshot import Snapshot
from topologies.hostlist import compress_hosts, expand_hosts

US = "\x1f"


@dataclass
class FakeJob:
    number: int
    nodes: int
    gpus: int = 8
    state: str = "PENDING"
    reason: str = "None"
    priority: int = 1000
    begin_s: float = 0.0
    submit_s: float = 0.0
    limit_min: int | None = 60
    required: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()
    start_s: float = 0.0
    end_s: float = 0.0
    comment: str = ""
    admin_comment: str = ""
    segment: int = 0
    switches: str = ""
    prefer: str = ""
    partition: str = "batch"
    user: int = 1000
    exclusive: bool = False
    features: str = "(null)"
    updates: list[str] = field(default_factory=list)


@dataclass
class FakeSlurm:
    """The stand-in.

    Parameters
    ----------
    version
        Such as ``22.05.8`` or ``26.05.3``.
    block_size
        Nodes a base block for topology/block; 0 for topology/tree.
    """

    num_nodes: int = 16
    per_leaf: int = 4
    gpus: int = 8
    version: str = "22.05.8"
    block_size: int = 0
    partition_topology: str = ""  # of the only partition, from 25.05: a tree beside the blocks, or blocks beside a tree
    now_s: float = 1_800_000_000.0
    park_s: int = 20
    jobs: dict[int, FakeJob] = field(default_factory=dict)
    down: dict[str, str] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    reservations: str = "No reservations in the system\n"
    deaf: bool = False
    min_job_age_s: float = 300.0
    accounting: str = "(null)"
    commands_run: list[Sequence[str]] = field(default_factory=list)

    # ------------------------------------------------------------------- what a test does

    @property
    def names(self) -> list[str]:
        return [f"gpu{i:04d}" for i in range(1, self.num_nodes + 1)]

    def leaf(self, host: str) -> int:
        return (int(host[3:]) - 1) // (self.block_size or self.per_leaf)

    def submit(self, nodes: int, *, parked: bool = True, **values: object) -> FakeJob:
        number = max(self.jobs, default=0) + 1
        job = FakeJob(number, nodes, submit_s=self.now_s, **values)  # type: ignore[arg-type]
        if parked:
            job = replace(job, begin_s=self.now_s + self.park_s, admin_comment="scaleplan:parked", reason="BeginTime")
        self.jobs[number] = job
        return job

    def run_on(self, hosts: Sequence[str], *, limit_min: int | None = 60, gpus: int = 8) -> FakeJob:
        job = self.submit(len(hosts), parked=False, limit_min=limit_min, gpus=gpus, priority=5000)
        job.state, job.placed, job.start_s = "RUNNING", tuple(hosts), self.now_s
        return job

    def end(self, job: FakeJob) -> None:
        job.state, job.end_s = "COMPLETED", self.now_s

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass, and schedule what may start."""
        self.now_s += seconds
        for job in sorted(self.jobs.values(), key=lambda j: (-j.priority, j.number)):
            if job.state == "PENDING" and job.priority > 0 and not self.deaf:
                self._try_to_start(job)

    def _try_to_start(self, job: FakeJob) -> None:
        if job.begin_s > self.now_s:
            job.reason = "BeginTime"
            return
        if any(host in self.down for host in job.required):
            job.reason = "ReqNodeNotAvail"
            return
        free = [host for host in self.names if host not in self.down and self._free_gpus(host) >= job.gpus]
        if len(job.required) > job.nodes or not set(job.required) <= set(free):
            job.reason = "Resources"
            return
        chosen = list(job.required) + [host for host in free if host not in job.required]
        chosen = chosen[: job.nodes]
        if len(chosen) < job.nodes:
            job.reason = "Resources"
            return
        if self.block_size and self.partition_topology != "tree" and not self._block_takes(job, chosen):
            job.reason, job.priority = ("BadConstraints", 0) if job.required else ("Resources", job.priority)
            return
        job.state, job.reason, job.placed, job.start_s = "RUNNING", "None", tuple(sorted(chosen)), self.now_s

    def _block_takes(self, job: FakeJob, hosts: Sequence[str]) -> bool:
        counts: dict[int, int] = {}
        for host in hosts:
            counts[self.leaf(host)] = counts.get(self.leaf(host), 0) + 1
        if job.segment:
            return all(count % job.segment == 0 for count in counts.values())
        return len(counts) == -(-job.nodes // self.block_size)

    def _free_gpus(self, host: str) -> int:
        return self.gpus - sum(job.gpus for job in self.jobs.values() if job.state == "RUNNING" and host in job.placed)

    # ------------------------------------------------------------------- what the planner sees

    def snapshot(self, tracked: Container[str] = ()) -> Snapshot:
        nodes = read_nodes(self)
        jobs, ended = read_queue_and_ends(self, tracked)
        return Snapshot(
            now_s=self.now_s,
            jobs=jobs,
            details=read_details(self, [job.job_id for job in jobs if job.is_pending]),
            nodes=nodes,
            partitions=read_partitions(self),
            reservations=read_reservations(self),
            config=read_config(self),
            topology=read_topology(self),
            ended=ended,
            partition_kinds=read_partition_kinds(self, read_partitions(self)),
        )

    def run(self, argv: Sequence[str], *, stdin_text: str | None = None, check: bool = True) -> CommandOutput:
        self.commands_run.append(tuple(argv))
        words = [word for word in argv if word not in ("-o", "-a", "-d", "-h", "-r")]
        if argv[0] == "squeue":
            return CommandOutput("".join(map(self._queue_line, self._told())), "", 0)
        if argv[0] == "sacct":
            wanted = argv[argv.index("-j") + 1].split(",")
            return CommandOutput(
                "".join(self._sacct_line(j) for j in self.jobs.values() if str(j.number) in wanted), "", 0
            )
        if stdin_text is not None:
            for line in stdin_text.splitlines():
                self._update(line)
            return CommandOutput("", "", 0)
        shows = {
            "jobs": lambda: "".join(map(self._job_text, self._live())),
            "job": lambda: self._job_text(self.jobs[int(words[3])]),
            "nodes": lambda: "".join(map(self._node_text, self.names)),
            "partitions": self._partition_text,
            "reservations": lambda: self.reservations,
            "config": self._config_text,
            "topology": lambda: self._topology_text(words[3:]),
        }
        return CommandOutput(shows[words[2]](), "", 0)

    def _live(self) -> list[FakeJob]:
        return [job for job in self.jobs.values() if job.state in ("PENDING", "RUNNING")]

    def _told(self) -> list[FakeJob]:
        return [job for job in self.jobs.values() if self.now_s - job.end_s < self.min_job_age_s or not job.end_s]

    @staticmethod
    def _sacct_line(job: FakeJob) -> str:
        nodes = compress_hosts(job.placed) or "None assigned"
        times = "|".join(str(int(at_s)) if at_s else "Unknown" for at_s in (job.submit_s, job.start_s, job.end_s))
        return f"{job.number}|{job.number}|{job.state}|{nodes}|{times}\n"

    def _queue_line(self, job: FakeJob) -> str:
        new = tuple(map(int, self.version.split(".")[:2])) >= (25, 5)
        limit = "UNLIMITED" if job.limit_min is None else f"{job.limit_min // 60}:{job.limit_min % 60:02d}:00"
        start = job.start_s or job.begin_s
        end = str(int(job.end_s or job.start_s + (job.limit_min or 525600) * 60)) if job.start_s else "NONE"
        row = {
            "%i": job.number,
            "%A": job.number,
            "%F": job.number,
            "%T": job.state,
            "%r": job.reason,
            "%Q": job.priority,
            "%P": job.partition,
            "%U": job.user,
            "%V": int(job.submit_s),
            "%S": int(start) if start else "N/A",
            "%e": end,
            "%l": limit,
            "%D": job.nodes,
            "%C": job.nodes,
            "%c": 1,
            "%m": "0",
            "%b": (f"gres/gpu:{job.gpus}" if new else f"gres:gpu:{job.gpus}") if job.gpus else "N/A",
            "%h": "NO" if new or job.exclusive else "OK",
            "%n": compress_hosts(job.required),
            "%x": "",
            "%N": compress_hosts(job.placed),
            "%Y": "(null)",
            "%v": "(null)",
            "%E": "(null)",
            "%f": job.features,
        }
        return US.join(str(row[word]) for word in SQUEUE_FORMAT.split(US)) + "\n"

    def _job_text(self, job: FakeJob) -> str:
        new = tuple(map(int, self.version.split(".")[:2])) >= (25, 5)
        return (
            f"JobId={job.number} JobName=wrap UserId=u({job.user}) Priority={job.priority} Account=(null) QOS=(null) "
            f"JobState={job.state} Restarts=0 NumNodes={job.nodes}-{job.nodes} "
            + (f"OverSubscribe=NO Exclusive={'YES' if job.exclusive else 'NO'} " if new else "OverSubscribe=OK ")
            + (f"Switches={job.switches} " if job.switches else "")
            + "WorkDir=/ "
            + (f"AdminComment={job.admin_comment} " if job.admin_comment else "")
            + (f"Comment={job.comment} " if job.comment else "")
            + "StdErr=/dev/null StdIn=/dev/null StdOut=/dev/null "
            + (f"SegmentSize={job.segment} " if job.segment else "")
            + f"TresPerNode=gres/gpu:{job.gpus}\n"
        )

    def _node_text(self, host: str) -> str:
        free = self._free_gpus(host)
        state = self.down.get(host, "IDLE" if free == self.gpus else "ALLOCATED" if free == 0 else "MIXED")
        return (
            f"NodeName={host} CPUAlloc={(self.gpus - free) * 4} CPUEfctv=32 CPUTot=32 "
            f"ActiveFeatures={self.features.get(host, '(null)')} Gres=gpu:{self.gpus} GresUsed=gpu:{self.gpus - free} "
            f"RealMemory=2000000 AllocMem=0 State={state} Partitions=batch Reason=none\n"
        )

    def _partition_text(self) -> str:
        return (
            f"PartitionName=batch Default=YES DefaultTime=NONE MaxNodes=UNLIMITED MaxTime=UNLIMITED "
            f"Nodes={compress_hosts(self.names)} PriorityTier=1 State=UP"
            + (f" Topology={self.partition_topology}" if self.partition_topology else "")
            + "\n"
        )

    def _config_text(self) -> str:
        plugin = "topology/block" if self.block_size else "topology/tree"
        return (
            f"SLURM_VERSION = {self.version}\nTopologyPlugin = {plugin}\nSelectType = select/cons_tres\n"
            f"AccountingStorageType = {self.accounting}\n"
            "SelectTypeParameters = CR_CORE\nSlurmUser = slurm(64030)\nSchedulerType = sched/backfill\n"
        )

    def _topology_text(self, names: Sequence[str]) -> str:
        if names:
            return (
                "SwitchName=s Level=0 Nodes=x\n" if names == ["topology=tree"] else "BlockName=b Nodes=x BlockSize=4\n"
            )
        groups: dict[int, list[str]] = {}
        for host in self.names:
            groups.setdefault(self.leaf(host), []).append(host)
        if not self.block_size:
            lines = [f"SwitchName=leaf{i} Level=0 LinkSpeed=1 Nodes={compress_hosts(h)}" for i, h in groups.items()]
            lines.append(f"SwitchName=core Level=1 Nodes=x Switches={','.join(f'leaf{i}' for i in groups)}")
            return "\n".join(lines) + "\n"
        size = self.block_size
        lines = [f"BlockName=b{i} BlockIndex={i} Nodes={compress_hosts(h)} BlockSize={size}" for i, h in groups.items()]
        step = 2
        while step <= len(groups):
            for i in range(0, len(groups) - step + 1, step):
                hosts = [host for j in range(i, i + step) for host in groups[j]]
                lines.append(
                    f"AggregatedBlock=b[{i}-{i + step - 1}] BlockIndex=9 Nodes={compress_hosts(hosts)} "
                    f"BlockSize={size * step}"
                )
            step *= 2
        return "\n".join(lines) + "\n"

    def _update(self, line: str) -> None:
        verb, *words = line.split()
        assert verb == "update"
        values = dict(word.split("=", 1) for word in words)
        job = self.jobs[int(values.pop("JobId"))]
        job.updates.append(line)
        for key, value in values.items():
            if key == "AdminComment":
                job.admin_comment = value
            elif job.state != "PENDING":
                return
            elif key == "ReqNodeList":
                job.required = expand_hosts(value)
                if job.priority == 0 and not value:
                    job.priority = 1000
            elif key == "StartTime":
                later = value.removeprefix("now")
                job.begin_s = self.now_s + (int(later[1:]) if later else 0)
                job.reason = "BeginTime" if later else "None"
            elif key == "Prefer":
                job.prefer = value
            elif key == "Switches":
                job.switches = value
