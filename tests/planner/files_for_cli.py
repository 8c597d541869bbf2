"""Small files that command-line tests write: a fabric of 4 hosts, jobs for it, and a state."""

FABRIC = """\
schema_version: 1
kind: graph
name: tiny
host_types:
  box: {accelerator: h100-sxm, accelerators: 2, nic: connectx-7-400g, nics: 1, scale_up: {}}
switches:
  - {names: "leaf[0-1]", tier: leaf}
  - {names: spine0, tier: spine}
links:
  - {a: "leaf[0-1]", b: spine0, rate_gbps: 400}
hosts:
  - {leaf: leaf0, type: box, names: "h[0-1]"}
  - {leaf: leaf1, type: box, names: "h[2-3]"}
"""

JOBS = """\
schema_version: 1
jobs:
  - id: ring
    count: 2
    accelerators: 4
    traffic: {size: 1GiB}
"""

CROSSING = """\
{"schema": "scaleplan/placement/1", "jobs": {
  "ring-0": [{"host": "h0", "accelerators": [0, 1]}, {"host": "h2", "accelerators": [0, 1]}],
  "ring-1": [{"host": "h1", "accelerators": [0, 1]}, {"host": "h3", "accelerators": [1, 0]}]
}}
"""
