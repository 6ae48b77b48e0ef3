"""Relational knowledge: what the place of a node in one graph says about nodes in another."""
