"""Training: the LightningModule, optimisers, checkpoints, validation, progress."""
