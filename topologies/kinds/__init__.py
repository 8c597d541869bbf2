"""Kinds of fabric: each turns a few parameters into a `Fabric`; one file and one registration each."""
