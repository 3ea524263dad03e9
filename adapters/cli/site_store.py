"""Site file and store for commands that run beside the controller, with their errors printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from adapters.config.loader import SiteFile, load_site_file
from adapters.config.problems import SiteFileError
from adapters.modbus.catalogue import MeterModelError, known_models
from adapters.modbus.loadmap import known_loads
from adapters.store.errors import StoreError
from controller.decision import Condition


class NoConditions:
    """A `ConditionSink` for commands: conditions are the running controller's business."""

    def begin(self, condition: Condition) -> None:
        """Print it, so that nothing is hidden."""
        typer.echo(condition.text, err=True)

    def end(self, code: str, subject: str) -> None:
        """Nothing to take back."""


def opened_site(path: Path) -> SiteFile | None:
    """Load a site file; print every problem and return None when it is wrong."""
    try:
        return load_site_file(path, known_models=known_models(), known_loads=known_loads())
    except SiteFileError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        return None
    except MeterModelError as error:
        typer.echo(str(error), err=True)
        return None


@contextmanager
def store_error_text() -> Iterator[list[str]]:
    """Print a store's error instead of raising it; the list then holds its text."""
    failed: list[str] = []
    try:
        yield failed
    except StoreError as error:
        failed.append(str(error))
        typer.echo(str(error), err=True)
