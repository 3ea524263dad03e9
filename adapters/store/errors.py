"""What the store raises when it cannot do its work."""

from __future__ import annotations

from controller.errors import StoreUnavailableError


class StoreError(StoreUnavailableError):
    """The store could not be opened, read or written; the text names the place and the mend."""
