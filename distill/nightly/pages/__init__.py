"""What a night and the history of nights look like: lines, charts, pages, the closing table."""
