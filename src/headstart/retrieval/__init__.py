"""Finding again: words, neighbours, both fused, binary codes, maps. Knows vectors and texts, no models."""
