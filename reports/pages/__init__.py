"""The pages, one module a kind of study, registered as entry points ``scaleplan.reports``."""
