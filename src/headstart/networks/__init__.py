"""Networks built from scratch, short and faithful: the bodies of the backbones that work offline."""
