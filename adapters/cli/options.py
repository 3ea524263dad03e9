"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

SiteOption = Annotated[
    Path,
    typer.Option("--site", envvar="WATTKEEPER_SITE", help="The site file whose store is used."),
]
DEFAULT_SITE: Final = Path("site.yaml")
