"""The stages of a night: from the manifest to the promotion."""
