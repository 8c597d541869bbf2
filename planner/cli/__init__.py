"""The command line ``scaleplan``: one module a command, everything heavy imported where it is used."""
