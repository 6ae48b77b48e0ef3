"""Zero-shot: what the name of a class alone says about its items."""
