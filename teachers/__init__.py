"""The Large-protocol networks, how their weights are found and checked, and a card for each."""
