"""``python -m distill JOB``; the console script ``face-distill`` is the same."""

from __future__ import annotations

import sys

from distill.cli import main

if __name__ == "__main__":
    sys.exit(main())
