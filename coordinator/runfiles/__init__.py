"""The on-disk contract of one job. Standard library and Python 3.9 syntax only: it travels to bare hosts."""
