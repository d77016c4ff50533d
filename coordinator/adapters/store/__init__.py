"""The memory: SQLAlchemy tables, rows to domain values, migrations."""
