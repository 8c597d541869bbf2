"""Traces of jobs and requests: readers for the formats that clusters and published data sets use, and a generator."""
