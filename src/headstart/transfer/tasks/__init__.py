"""Several tasks at once: one trunk that all of them share, one layer for each."""
