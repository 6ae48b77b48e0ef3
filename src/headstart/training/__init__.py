"""The loop that trains networks: plans, losses, optimisers, schedules, checkpoints, diagnostics."""
