"""The application: all routes behind the gate, and the gate behind the shield."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

from adapters.http.documentation import describe
from adapters.http.gate import Gate
from adapters.http.once import Once
from adapters.http.problems import install_handlers
from adapters.http.routes import (
    config,
    events,
    evses,
    health,
    history,
    maintenance,
    notifications,
    page,
    planning,
    roaming,
    rollouts,
    session,
    sessions,
    setup,
    site,
    station_care,
    station_logs,
    stations,
    tokens,
    users,
    wiring,
)
from adapters.http.services import Services
from adapters.http.shield import Shield

_ROUTERS = (
    site.router,
    wiring.router,
    evses.router,
    rollouts.router,
    station_care.router,
    station_logs.router,
    stations.router,
    maintenance.router,
    sessions.router,
    tokens.router,
    tokens.table,
    history.router,
    planning.router,
    events.router,
    session.router,
    setup.router,
    users.router,
    config.router,
    notifications.router,
    roaming.router,
    health.router,
    page.router,
)


def create_api(services: Services) -> FastAPI:
    """Build the routes. Nothing in here checks who asks: serve it only through `protect`."""
    api = FastAPI(
        title="Wattkeeper",
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    api.state.services = services
    install_handlers(api)
    for router in _ROUTERS:
        api.include_router(router)
    describe(api)
    return api


def protect(api: FastAPI, services: Services) -> ASGIApp:
    """Put sign-in, roles and limits before the routes."""
    gate = Gate(
        Once(api, clock=services.clock),
        accounts=services.accounts,
        sessions=services.sessions,
        metrics_open_on_loopback=services.settings.metrics_open_on_loopback,
    )
    api.state.gate = gate
    return Shield(gate, settings=services.settings, rate=services.rate, abort=services.abort)
