"""Tracking of runs and nights: series on disk, W&B, the outbox, the dashboard."""
