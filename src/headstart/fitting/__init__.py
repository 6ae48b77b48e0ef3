"""From a data set to a model, and how good a model is on data: the spine."""

from headstart.fitting.evaluating import Answers, answers, compare_models, evaluate_model
from headstart.fitting.planning import Ranked, plan, rank_backbones, read_plan
from headstart.fitting.reporting import Report
from headstart.fitting.spine import fit

__all__ = [
    "Answers",
    "Ranked",
    "Report",
    "answers",
    "compare_models",
    "evaluate_model",
    "fit",
    "plan",
    "rank_backbones",
    "read_plan",
]
