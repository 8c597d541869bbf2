"""Rings in SimGrid, for comparison: run by a Python that has Debian's python3-simgrid; a case in, times out, as JSON.

Each step of a ring is one message a member to its neighbour, all at once; a job's steps follow each other. One actor a
job keeps SimGrid's own threads out of the measurement.
"""

import json
import sys
import time

import simgrid


def run_job(hosts, ring, size, done, job):
    members = [hosts[h] for h in ring]
    for _ in range(2 * (len(members) - 1)):
        messages = [
            simgrid.Comm.sendto_async(a, b, size // len(members))
            for a, b in zip(members, members[1:] + members[:1])  # noqa: B905 - a list of known length
        ]
        simgrid.Comm.wait_all(messages)
    done[job] = simgrid.Engine.clock


def main():
    case = json.load(sys.stdin)
    flags = ["network/model:CM02", "network/TCP-gamma:0", "network/crosstraffic:0"]
    engine = simgrid.Engine(["rings", "--log=root.thres:critical", *(f"--cfg={flag}" for flag in flags)])
    zone = simgrid.NetZone.create_full_zone("zone")
    hosts = [zone.create_host(f"h{i}", 1e9).seal() for i in range(case["num_hosts"])]
    links = [
        zone.create_link(f"l{i}", float(rate)).set_latency(float(latency)).seal()
        for i, (rate, latency) in enumerate(case["links"])
    ]
    for a, b, path in case["routes"]:
        steps = [simgrid.LinkInRoute(links[link]) for link in path]
        zone.add_route(hosts[a].netpoint, hosts[b].netpoint, None, None, steps, False)
    zone.seal()
    done = [None] * len(case["jobs"])
    for job, (ring, size) in enumerate(case["jobs"]):
        simgrid.Actor.create(f"job{job}", hosts[0], run_job, hosts, ring, size, done, job)
    begun = time.perf_counter()
    engine.run()
    sys.stdout.write(json.dumps({"wall_s": time.perf_counter() - begun, "finish_s": done}) + "\n")


main()
