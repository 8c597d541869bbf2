"""Advice beside placement: why a job does not fit, how many more would, what to move, and one job at a time."""
