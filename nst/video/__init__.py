"""Films: clips painted frame by frame without flicker."""
