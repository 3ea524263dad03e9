"""Alembic migrations, applied when the store is opened."""
