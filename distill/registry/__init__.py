"""Versions of the student that services use: immutable, verified before use, one of them the champion."""
