"""What a night is: its records, its data, its verdict. Arrays and files; no Hydra, no Lightning, no W&B."""
