"""The training state, steps and runs."""
