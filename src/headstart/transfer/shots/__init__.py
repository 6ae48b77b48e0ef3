"""Few-shot: heads from a handful of items a class, and whether two items show the same."""
