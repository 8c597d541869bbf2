"""What Slurm says about itself, as immutable records."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "ENDED_STATES",
    "UNAVAILABLE_FLAGS",
    "JobDetail",
    "NodeRecord",
    "PartitionRecord",
    "QueuedJob",
    "ReservationRecord",
    "SiteConfig",
    "SlurmTopology",
    "TopologyUnit",
    "ended_job",
]


@dataclass(frozen=True)
class QueuedJob:
    """A job, one task of an array, or the tasks of an array that Slurm still holds together.

    Parameters
    ----------
    ref
        What ``scontrol update JobId=`` takes: ``123``, ``123_4`` or ``123_[4-9,12]``. Never the bare number of an
        array, which would change every task of it.
    array_tasks
        Tasks that Slurm still holds together; empty for anything else.
    priority
        Slurm's own integer priority; 0 for a held job.
    start_s, end_s
        Seconds since the epoch; for a pending job the begin time or Slurm's own forecast; ``None`` if unknown.
    time_limit_s
        ``None`` for no limit.
    nodes
        Nodes it holds or, once it ended, held; of a completing job only those that are not yet given back.
    gpus_per_node
        From the GRES asked for on each node; 0 if none were.
    memory_mib
        Asked for on each node, or on each CPU when `memory_is_per_cpu`; 0 for no request.
    """

    ref: str
    job_id: int
    array_job_id: int
    array_tasks: tuple[int, ...]
    state: str
    reason: str
    priority: int
    partitions: tuple[str, ...]
    user_id: int
    submit_s: float
    start_s: float | None
    end_s: float | None
    time_limit_s: float | None
    num_nodes: int
    num_cpus: int
    min_cpus_per_node: int
    memory_mib: int
    memory_is_per_cpu: bool
    gpus_per_node: int
    oversubscribe: str
    req_nodes: tuple[str, ...]
    exc_nodes: tuple[str, ...]
    nodes: tuple[str, ...]
    sched_nodes: tuple[str, ...]
    reservation: str
    dependency: str
    features: str
    is_het: bool

    @property
    def tracked_ref(self) -> str:
        """What the journal knows it by: the array's number for tasks still together, else the same as `ref`."""
        return str(self.array_job_id) if self.array_tasks else self.ref

    @property
    def is_pending(self) -> bool:
        """Whether the job waits to start."""
        return self.state == "PENDING"

    @property
    def is_running(self) -> bool:
        """Whether the job holds its nodes."""
        return self.state in ("RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT")

    @property
    def is_ended(self) -> bool:
        """Whether the job is over and holds nothing; Slurm tells of it for MinJobAge."""
        return self.state in ENDED_STATES

    @property
    def is_array(self) -> bool:
        """Whether this is an array, or a task of one."""
        return bool(self.array_tasks) or "_" in self.ref


def ended_job(
    ref: str,
    job_id: int,
    state: str,
    nodes: tuple[str, ...],
    submit_s: float,
    start_s: float | None,
    end_s: float | None,
) -> QueuedJob:
    """Return the record of a job that is over, of which only this is known; it counts as having required its nodes."""
    return QueuedJob(
        ref=ref,
        job_id=job_id,
        array_job_id=job_id,
        array_tasks=(),
        state=state,
        reason="None",
        priority=0,
        partitions=(),
        user_id=0,
        submit_s=submit_s,
        start_s=start_s,
        end_s=end_s,
        time_limit_s=None,
        num_nodes=len(nodes),
        num_cpus=0,
        min_cpus_per_node=0,
        memory_mib=0,
        memory_is_per_cpu=False,
        gpus_per_node=0,
        oversubscribe="",
        req_nodes=nodes,
        exc_nodes=(),
        nodes=nodes,
        sched_nodes=(),
        reservation="",
        dependency="",
        features="",
        is_het=False,
    )


@dataclass(frozen=True)
class JobDetail:
    """The parts of ``scontrol show job`` that hold text of users or appear in some versions only."""

    comment: str = ""
    admin_comment: str = ""
    account: str = ""
    qos: str = ""
    exclusive: bool | None = None
    segment_nodes: int = 0
    max_switches: int = 0
    array_limit: int = 0
    restarts: int = 0
    min_nodes: int = 0
    max_nodes: int = 0


ENDED_STATES = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "LAUNCH_FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "RECONFIG_FAIL",
        "REVOKED",
        "TIMEOUT",
    }
)
UNAVAILABLE_FLAGS = frozenset(
    {
        "DRAIN",
        "DRAINED",
        "DRAINING",
        "DOWN",
        "FAIL",
        "FAILING",
        "MAINT",
        "MAINTENANCE",
        "NOT_RESPONDING",
        "NO_RESPOND",
        "POWERED_DOWN",
        "POWERING_DOWN",
        "POWER_DOWN",
        "POWERING_UP",
        "POWER_UP",
        "REBOOT",
        "REBOOT_REQUESTED",
        "REBOOT_ISSUED",
        "RESERVED",
        "BLOCKED",
        "INVAL",
        "INVALID_REG",
        "FUTURE",
        "UNKNOWN",
        "ERROR",
        "PERFCTRS",
    }
)
_USABLE_BASES = frozenset({"IDLE", "MIXED", "ALLOCATED", "COMPLETING"})


@dataclass(frozen=True)
class NodeRecord:
    """A node's size and what of it is taken now."""

    name: str
    state: str
    flags: frozenset[str]
    cpus: int
    cpus_used: int
    memory_mib: int
    memory_used_mib: int
    gpus: int
    gpus_used: int
    gpu_kind: str
    features: tuple[str, ...]
    partitions: tuple[str, ...]

    @property
    def is_up(self) -> bool:
        """Whether new jobs may start here at all."""
        return self.state in _USABLE_BASES and not self.flags & UNAVAILABLE_FLAGS

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs here and new jobs may start."""
        return self.is_up and self.state == "IDLE" and "COMPLETING" not in self.flags and self.cpus_used == 0

    @property
    def gpus_free(self) -> int:
        """GPUs that no job holds; 0 on a node that takes no jobs."""
        return max(0, self.gpus - self.gpus_used) if self.is_up else 0


@dataclass(frozen=True)
class PartitionRecord:
    """A partition: its nodes and limits."""

    name: str
    nodes: tuple[str, ...]
    is_up: bool
    max_nodes: int | None
    max_time_s: float | None
    default_time_s: float | None
    priority_tier: int
    is_default: bool
    topology: str = ""


@dataclass(frozen=True)
class ReservationRecord:
    """Nodes set aside for a time."""

    name: str
    nodes: tuple[str, ...]
    start_s: float
    end_s: float


@dataclass(frozen=True)
class TopologyUnit:
    """A switch or a block: its name, level (0 for a leaf or a base block), hosts and children."""

    name: str
    level: int
    hosts: tuple[str, ...]
    children: tuple[str, ...] = ()


@dataclass(frozen=True)
class SlurmTopology:
    """Slurm's own view of the network.

    Parameters
    ----------
    kind
        ``tree``, ``block`` or ``flat``.
    units
        Switches or base blocks; the leaves have level 0.
    block_sizes
        Sizes, in nodes, at which blocks may be joined; the first is the base block's. Empty but for ``block``.
    """

    kind: str
    units: tuple[TopologyUnit, ...] = ()
    block_sizes: tuple[int, ...] = ()

    @property
    def leaves(self) -> tuple[TopologyUnit, ...]:
        """The leaf switches or base blocks, in Slurm's order."""
        return tuple(unit for unit in self.units if unit.level == 0)

    def leaf_by_host(self) -> dict[str, str]:
        """Map each host to its leaf switch or base block."""
        return {host: unit.name for unit in self.leaves for host in unit.hosts}

    def parent_by_unit(self) -> dict[str, str]:
        """Map each switch to the one above it; the top ones are left out."""
        return {child: unit.name for unit in self.units for child in unit.children}


@dataclass(frozen=True)
class SiteConfig:
    """``scontrol show config``: every key as Slurm wrote it, and the few that decide what is done."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, key: str) -> str:
        """Return a setting, or an empty text when it is unset."""
        value = self.values.get(key.lower(), "")
        return "" if value in ("(null)", "N/A") else value

    @property
    def version(self) -> tuple[int, int]:
        """Slurm's release, such as (22, 5) for 22.05.8; (0, 0) if it was not told."""
        parts = self.get("SLURM_VERSION").split(".")
        return (int(parts[0]), int(parts[1])) if len(parts) >= 2 and all(p.isdigit() for p in parts[:2]) else (0, 0)

    @property
    def topology_kind(self) -> str:
        """``tree``, ``block`` or ``flat``, from TopologyPlugin."""
        plugin = self.get("TopologyPlugin").removeprefix("topology/")
        return plugin if plugin in ("tree", "block") else "flat"

    @property
    def slurm_user(self) -> str:
        """The name of SlurmUser, without its number."""
        return self.get("SlurmUser").split("(")[0]
