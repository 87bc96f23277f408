"""What a run tells the outside while it trains: series on disk, W&B, progress, closing tables, the dashboard."""
