"""Versions of the student that services use: kept whole, checked before use, one of them the champion."""
