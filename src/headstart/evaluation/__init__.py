"""How good a model is: metrics, likely label errors, comparison, and the report made of sections."""

from headstart.evaluation.compare import Comparison, compare
from headstart.evaluation.label_errors import LabelIssue, apply_review, find_label_issues
from headstart.evaluation.metrics import evaluate
from headstart.evaluation.results import Evaluation

__all__ = [
    "Comparison",
    "Evaluation",
    "LabelIssue",
    "apply_review",
    "compare",
    "evaluate",
    "find_label_issues",
]
