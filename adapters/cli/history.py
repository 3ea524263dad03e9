"""`wattkeeper history export`: closed days as Parquet files."""

from __future__ import annotations

from pathlib import Path

import typer

from adapters.cli.site_store import opened_site
from adapters.clock import SystemClock
from adapters.store.errors import StoreError
from adapters.store.parquet import export_days


def export(site: Path, *, folder: Path) -> int:
    """Write every closed day that has no file yet."""
    file = opened_site(site)
    if file is None:
        return 2
    if not file.store.path.exists():
        typer.echo(f"{file.store.path}: there is no store yet. Run the controller first.", err=True)
        return 1
    try:
        count = export_days(file.store.path, folder, now=SystemClock().now(), told=typer.echo)
    except StoreError as error:
        typer.echo(str(error), err=True)
        return 1
    typer.echo(f"{count} files written to {folder}.", err=True)
    return 0
