"""The Light-protocol networks, one family a file."""
