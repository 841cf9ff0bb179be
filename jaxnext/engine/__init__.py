"""Steps, state and checkpoints: what training and inference are made of."""
