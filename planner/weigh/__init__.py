"""Weighs rack designs against each other by the work they carry."""
