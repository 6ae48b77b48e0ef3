"""From a data set to a model, and how good a model is on data: the spine."""

from headstart.fitting.evaluating import Answers, answers, evaluate_model
from headstart.fitting.fit import fit
from headstart.fitting.reporting import Report

__all__ = ["Answers", "Report", "answers", "evaluate_model", "fit"]
