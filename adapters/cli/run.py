"""`wattkeeper run SITE.yaml`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import structlog
import typer

from adapters.bootstrap import RunningController, RunSettings, StartError
from adapters.cli.loop import run_on_loop
from adapters.cli.settings import run_settings
from adapters.cli.site_store import opened_site
from adapters.http.server import ListenError as HttpListenError
from adapters.ocpp.server import ListenError as OcppListenError
from adapters.pki.files import PkiError
from adapters.republish.server import ListenError as RepublishListenError
from adapters.store.errors import StoreError
from adapters.uploads.receiver import UploadListenError
from adapters.vault import VaultError

log = structlog.get_logger(__name__)

START_ERRORS = (
    RepublishListenError,
    StartError,
    StoreError,
    HttpListenError,
    OcppListenError,
    UploadListenError,
    VaultError,
)


def run_command(path: Path) -> int:
    """Control a site until SIGTERM or SIGINT."""
    file = opened_site(path)
    if file is None:
        return 2
    try:
        settings = run_settings(file)
    except PkiError as error:
        typer.echo(str(error), err=True)
        return 1
    return run_on_loop(_run(settings))


async def _run(settings: RunSettings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with RunningController(settings) as controller:
            log.info(
                "controller.started",
                site=settings.site.id,
                ocpp_port=controller.ocpp.port,
                http_port=controller.http.port,
            )
            _show_setup(controller)
            await stop.wait()
            log.info("controller.stopping", site=settings.site.id)
    except START_ERRORS as error:
        typer.echo(str(error), err=True)
        return 1
    return 0


def _show_setup(controller: RunningController) -> None:
    """Print the code for the first account; it is worth nothing once there is one."""
    if controller.setup_code:
        typer.echo(
            "There is no account yet. Open the page on port "
            f"{controller.http.port} to make the first one; from another machine it asks for the "
            f"set-up code {controller.setup_code}"
        )
        sys.stdout.flush()
