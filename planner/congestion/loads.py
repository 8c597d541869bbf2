"""From flows to loads: what each phase of each job puts on each link or bundle of links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.collectives.traffic import JobFlows
from planner.congestion.events import Program
from planner.congestion.incidence import Incidence
from topologies.fabric import Fabric
from topologies.routing.channels import Channels
from topologies.routing.flow_links import FlowLinks
from topologies.routing.network import Routing
from topologies.routing.router import router_for
from topologies.routing.rows import Float64s, sizes, sum_at

__all__ = ["Loads", "loads_of"]


@dataclass(frozen=True, eq=False)
class Loads:
    """What the flows put on the links, row by row.

    Attributes
    ----------
    channels
        What the columns of `incidence` stand for: links, and bundles of links that fill up together.
    incidence
        Rows × channels. A row's rate is that of its largest flow.
    row_bytes
        ``(rows,)`` bytes of the row's largest flow; 0 for a row without flows.
    latency_s
        ``(J,)`` latencies of the messages that follow each other, added up.
    num_phases
        Rows a job.
    """

    channels: Channels
    incidence: Incidence
    row_bytes: Float64s
    latency_s: Float64s
    num_phases: int

    def program(
        self, *, start_s: npt.ArrayLike = 0.0, rounds: npt.ArrayLike = 1, compute_s: npt.ArrayLike = 0.0
    ) -> Program:
        """Return the jobs as a program for `run_events`, `steady_band` or `best_time_shift`; one row a phase.

        A job's latency is spread over its phases by their bytes. The matrix and the capacities that go with it are
        `incidence` and ``channels.capacity_bytes_per_s``.

        Parameters
        ----------
        start_s, rounds, compute_s
            ``(J,)`` or one for all: when a job starts, how many rounds it runs, and its pause between two.
        """
        num_jobs = self.latency_s.size
        size = self.row_bytes.reshape(num_jobs, self.num_phases)
        total = size.sum(axis=1, keepdims=True)
        part = np.divide(size, total, out=np.zeros(size.shape), where=total > 0)
        return Program.of(
            self.row_bytes,
            row_job=np.repeat(np.arange(num_jobs), self.num_phases),
            row_stage=np.tile(np.arange(self.num_phases), num_jobs),
            row_latency_s=(part * self.latency_s[:, None]).ravel(),
            start_s=start_s,
            rounds=rounds,
            compute_s=compute_s,
            num_jobs=num_jobs,
        )

    def times_at(self, rate_bytes_per_s: Float64s) -> Float64s:
        """Time of each job when its rows run at these rates, ``(J,)``."""
        inverse = np.zeros(rate_bytes_per_s.shape)
        np.divide(1.0, rate_bytes_per_s, out=inverse, where=self.row_bytes > 0)
        return self.job_times(inverse)

    def job_times(self, inverse_rate: Float64s) -> Float64s:
        """Time of each job from seconds a byte of each row, ``(J,)``: its phases one after the other, and latency."""
        busy = np.zeros(self.row_bytes.shape)
        np.multiply(self.row_bytes, inverse_rate, out=busy, where=self.row_bytes > 0)
        time_s: Float64s = busy.reshape(-1, self.num_phases).sum(axis=1) + self.latency_s
        return time_s


def loads_of(fabric: Fabric, flows: JobFlows, routing: Routing) -> Loads:
    """Route the flows and add up what each row puts on each link.

    Raises
    ------
    InputError
        If a flow has no way.
    """
    channels, routed = router_for(fabric).route_channels(flows.source_node, flows.target_node, routing)
    num_rows = flows.num_jobs * flows.num_phases
    row_bytes = np.zeros(num_rows)
    np.maximum.at(row_bytes, flows.row, flows.size_bytes)
    weight = flows.size_bytes / row_bytes[flows.row]
    row_start = routed.flow_start[flows.row_start]
    multiplicity = routed.share_frac * np.repeat(weight, sizes(routed.flow_start))
    row_start.flags.writeable = False
    multiplicity.flags.writeable = False
    incidence = Incidence(row_start, routed.link, multiplicity, channels.num_channels)
    return Loads(channels, incidence, row_bytes, _latency(channels, flows, routed), flows.num_phases)


def _latency(channels: Channels, flows: JobFlows, routed: FlowLinks) -> Float64s:
    """Multiply the steps of each job by the latency of its longest way inside and between units, ``(J,)``."""
    path_s = sum_at(routed.entry_flow(), channels.latency_s[routed.link] * routed.share_frac, routed.num_flows)
    domain, accelerators = channels.fabric.accelerator_domain, channels.fabric.num_accelerators
    inside = (flows.source_node < accelerators) & (flows.target_node < accelerators)
    inside[inside] = domain[flows.source_node[inside]] == domain[flows.target_node[inside]]
    longest_in, longest_out = np.zeros(flows.num_jobs), np.zeros(flows.num_jobs)
    np.maximum.at(longest_in, flows.job[inside], path_s[inside])
    np.maximum.at(longest_out, flows.job[~inside], path_s[~inside])
    return flows.scale_up_steps * longest_in + flows.scale_out_steps * longest_out
