"""`python -m coordinator` is the same program as `coordinator`."""

from __future__ import annotations

import sys

from coordinator.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
