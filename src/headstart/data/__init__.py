"""What comes in, whatever it is: items, manifests, splits, duplicates, the audit, the batch pipeline."""

from headstart.data.items import Dataset, Item, Problem, Split
from headstart.data.opening import open

__all__ = ["Dataset", "Item", "Problem", "Split", "open"]
