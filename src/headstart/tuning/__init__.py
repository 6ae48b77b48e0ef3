"""Searching for better settings: the space around a plan, trials, a study that survives kills, its report."""
