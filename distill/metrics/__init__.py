"""Metrics of face verification and identification: arrays in, numbers out. Import from the modules."""
