"""Paint many photos after many paintings: planned, resumable, by several processes or a cluster."""
