"""Telling what a photograph shows: from photographs with captions to a network that writes them."""
