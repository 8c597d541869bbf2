"""What jobs that share links do to each other."""
