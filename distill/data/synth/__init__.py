"""Procedurally generated faces: identities and pictures from seeds alone (docs/synthfaces.md)."""
