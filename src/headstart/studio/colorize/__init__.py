"""Grey photographs in colour: Lab, what a network must tell about it, its training, and its use."""
