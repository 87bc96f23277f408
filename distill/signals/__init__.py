"""Stored teacher outputs: written once for each image, verified, and replayed in place of the teacher."""
