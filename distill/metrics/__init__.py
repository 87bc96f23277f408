"""Arrays in, numbers out: how well embeddings tell persons apart. Import from the module that knows it."""
