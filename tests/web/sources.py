"""Which sources the dashboard was built from."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

_OUTSIDE = frozenset({"node_modules", "dist", ".vite"})


def source_files(web: Path) -> list[Path]:
    """Return every file of `web/` that a build may depend on, sorted."""
    return sorted(
        path
        for path in web.rglob("*")
        if path.is_file() and not _OUTSIDE.intersection(path.relative_to(web).parts)
    )


def source_hash(web: Path) -> str:
    """Return a hash over the names and contents of all sources."""
    total = sha256()
    for path in source_files(web):
        total.update(path.relative_to(web).as_posix().encode() + b"\0")
        total.update(sha256(path.read_bytes()).digest())
    return total.hexdigest()
