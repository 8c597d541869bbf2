"""Schedulers that place one job at a time on counts a host: fast enough to be asked at every event of a replay."""
