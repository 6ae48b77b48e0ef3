"""The studio: what a model can show and make, beside its answers."""
