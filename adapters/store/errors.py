"""What the store raises when it cannot do its work."""

from __future__ import annotations


class StoreError(Exception):
    """The store could not be opened, read or written; the text names the place and the mend."""
