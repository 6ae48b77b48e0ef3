"""What comes in, whatever it is: items, manifests, splits, duplicates, the audit, the batch pipeline."""

from headstart.data.items import Dataset, Item, Problem, Split
from headstart.data.opening import open
from headstart.data.pipeline import Pipeline

__all__ = ["Dataset", "Item", "Pipeline", "Problem", "Split", "open"]
