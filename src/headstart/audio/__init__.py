"""Sounds: from files to what networks hear."""
