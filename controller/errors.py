"""The controller's exceptions.

    ControllerError
    ├── StoreUnavailable      the store cannot confirm a durable write now
    └── ContactLost           a contact of a relay cannot be read now

Expected failures are values; these cross a ring only where a caller must decide.
"""


class ControllerError(Exception):
    """Base of the controller's own exceptions."""


class StoreUnavailableError(ControllerError):
    """The store cannot confirm a durable write now; the text names the place and the mend."""


class ContactLostError(ControllerError):
    """A contact cannot be read; the text says what happened and what to check."""
