"""Fixtures of these tests."""

from reference.small_drops import drops, put, put_records  # noqa: F401
