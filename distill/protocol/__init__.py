"""The challenge protocols: counting rule, limits, and the verdict on a file."""
