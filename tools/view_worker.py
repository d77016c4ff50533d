#!/usr/bin/env python3
"""`coordinator view`, a worker's conversation; runs with any python3 in any folder of the repository."""

import os
import sys
from pathlib import Path


def interpreter():
    """The python that has the coordinator: named in .coordinator/python, else in .venv, from here upwards."""
    for start in (Path.cwd(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            named = folder / ".coordinator" / "python"
            text = named.read_text(encoding="utf-8").strip() if named.is_file() else ""
            for path in (text, str(folder / ".venv" / "bin" / "python")):
                if path and os.access(path, os.X_OK):
                    return path
    sys.exit("error: no python with the coordinator was found\n"
             "  Looked for .coordinator/python and .venv/bin/python from here upwards.\n"
             "  In a managed repository run `coordinator init`; in a checkout of the coordinator run `make`.")


if __name__ == "__main__":
    python = interpreter()
    os.execv(python, [python, "-m", "coordinator", "view", *sys.argv[1:]])  # noqa: S606 - an argv, no shell
