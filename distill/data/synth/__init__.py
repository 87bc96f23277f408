"""Procedurally generated faces: identities and pictures from seeds only (docs/synthfaces.md)."""
