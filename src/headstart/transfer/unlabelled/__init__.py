"""Without labels, or with few: clusters, labels that spread, novelty, heads that go on learning."""
