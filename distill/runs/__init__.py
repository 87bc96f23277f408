"""A run: assemble it from its configuration, fit, export, check, finish, in one folder."""
