"""Alembic's scripts, shipped with the package: one step a file, never edited once released."""
