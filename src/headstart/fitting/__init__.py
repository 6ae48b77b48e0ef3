"""From a data set to a model, and how good a model is on data: the spine."""

from headstart.fitting.evaluating import Answers, answers, compare_models, evaluate_model
from headstart.fitting.learning import fit
from headstart.fitting.reporting import Report

__all__ = ["Answers", "Report", "answers", "compare_models", "evaluate_model", "fit"]
