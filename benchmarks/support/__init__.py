"""What the benchmarks share, and the peers that they are measured against."""
