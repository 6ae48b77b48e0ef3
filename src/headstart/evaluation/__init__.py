"""How good a model is: metrics, likely label errors, comparison, and the report made of sections."""

from headstart.evaluation.compare import Comparison, compare
from headstart.evaluation.label_errors import LabelIssue, apply_review, find_label_issues
from headstart.evaluation.label_metrics import LabelsEvaluation, evaluate_labels
from headstart.evaluation.metrics import evaluate
from headstart.evaluation.number_metrics import NumberEvaluation, evaluate_numbers
from headstart.evaluation.results import Evaluation

__all__ = [
    "Comparison",
    "Evaluation",
    "LabelIssue",
    "LabelsEvaluation",
    "NumberEvaluation",
    "apply_review",
    "compare",
    "evaluate",
    "evaluate_labels",
    "evaluate_numbers",
    "find_label_issues",
]
