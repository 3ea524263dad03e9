"""The embedded SQLite store."""

from adapters.store.errors import StoreError
from adapters.store.limits import StoreLimits
from adapters.store.sqlite_store import SqliteStore

__all__ = ["SqliteStore", "StoreError", "StoreLimits"]
