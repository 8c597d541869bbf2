"""One file a suite; each holds one model against one kind of data."""
