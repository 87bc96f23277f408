"""Fixtures of these tests."""

from reference.exported_student import copy_of, exported, network  # noqa: F401
