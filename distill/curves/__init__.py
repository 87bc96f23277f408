"""Several models compared on one page: ROC, DET, thresholds, hardest pairs."""
