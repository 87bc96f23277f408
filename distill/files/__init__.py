"""Files: atomic writes, claims between processes, hashes, cached tensors."""
