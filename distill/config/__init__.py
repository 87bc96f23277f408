"""Configuration: the schema, how it is composed and read, and the one place that builds objects from it."""
