"""Fixtures of these tests."""

from reference.registry_place import environment, memory, place, root, served  # noqa: F401
