"""The on-disk contract of one job. Standard library, Python 3.9 syntax, no import of ours: it travels to hosts."""
