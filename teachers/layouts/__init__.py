"""Weights that other programs wrote: their names, what these imply of the network, and how a file is recognised."""
