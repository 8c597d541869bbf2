"""File formats: what other tools write about a cluster, read into a `Fabric`, and written from one."""
