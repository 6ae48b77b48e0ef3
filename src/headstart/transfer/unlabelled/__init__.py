"""Without labels, or with few: clusters, labels that spread to neighbours, novelty, heads that go on learning."""
