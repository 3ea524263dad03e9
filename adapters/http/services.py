"""What the routes work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request

from adapters.http.accounts import Accounts
from adapters.http.bridge import Bridge
from adapters.http.browser_sessions import BrowserSessions
from adapters.http.event_feed import EventFeed
from adapters.http.first_run import FirstRun
from adapters.http.gate import PRINCIPAL
from adapters.http.labels import Labels
from adapters.http.roles import Principal
from adapters.http.settings import HttpSettings
from adapters.http.shield import Peer
from adapters.http.throttle import RequestRate, SignInGuard
from controller.administration import SiteStore
from controller.care import StationCare
from controller.configuration import Configuration
from controller.notices import Notifications
from controller.planning import Planning
from controller.ports import Clock, Control
from controller.roaming import PartnerRegister, UpstreamStatus


def _nothing_to_abort(_peer: Peer) -> None:
    return None


def _sheds_nothing() -> bool:
    return False


class GridHeartbeat(Protocol):
    """Hears the sender of grid signals. The properties are read from any thread."""

    @property
    def state(self) -> str:
        """`waiting`, `alive` or `failsafe`."""

    @property
    def heartbeat_s(self) -> float:
        """Silence that counts as lost. [s]"""

    @property
    def failsafe_until_at(self) -> datetime | None:
        """Until when the failsafe limit stays at least; None: it is not in force."""

    async def beat(self) -> None:
        """Take a heartbeat, on the control loop."""

    async def limit_told(self) -> None:
        """Note, on the control loop, that a limit was set or lifted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a request may need, built once per server."""

    settings: HttpSettings
    control: Control
    store: SiteStore
    clock: Clock
    bridge: Bridge
    accounts: Accounts
    sessions: BrowserSessions
    guard: SignInGuard
    refusals: RequestRate
    """How often refused sign-ins of a client are written down."""
    rate: RequestRate
    feed: EventFeed
    first_run: FirstRun
    planning: Planning | None = None
    """None: the controller runs without a planner."""
    labels: Labels
    configuration: Configuration | None = None
    care: StationCare | None = None
    """Adoption, secrets, certificates and logs of stations."""
    notifications: Notifications | None = None
    partners: PartnerRegister | None = None
    """None: no roaming."""
    upstream: UpstreamStatus | None = None
    """None: no back office."""
    abort: Callable[[Peer], None] = _nothing_to_abort
    """Cuts a connection off without waiting for it to take what is buffered."""
    sheds: Callable[[], bool] = _sheds_nothing
    """Whether this machine needs what it has for control."""
    grid: GridHeartbeat | None = None
    """None: the site file names no failsafe limit."""
    patching: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an override is read, changed and written back."""


def build_services(
    *,
    settings: HttpSettings,
    control: Control,
    store: SiteStore,
    clock: Clock,
    bridge: Bridge,
    setup_code: str,
    planning: Planning | None = None,
    configuration: Configuration | None = None,
    care: StationCare | None = None,
    notifications: Notifications | None = None,
    partners: PartnerRegister | None = None,
    upstream: UpstreamStatus | None = None,
    abort: Callable[[Peer], None] = _nothing_to_abort,
    sheds: Callable[[], bool] = _sheds_nothing,
    grid: GridHeartbeat | None = None,
) -> Services:
    """Build what the routes need around the controller's ports."""
    return Services(
        settings=settings,
        control=control,
        store=store,
        clock=clock,
        bridge=bridge,
        accounts=Accounts(
            store=store, bridge=bridge, clock=clock, cache_s=settings.account_cache_s
        ),
        sessions=BrowserSessions(
            clock=clock, idle_s=settings.session_idle_s, absolute_s=settings.session_absolute_s
        ),
        guard=SignInGuard(clock=clock),
        refusals=RequestRate(clock=clock, per_s=1 / 60, burst=1),
        rate=RequestRate(clock=clock, per_s=settings.requests_per_s, burst=settings.request_burst),
        feed=EventFeed(control=control, clock=clock, settings=settings),
        first_run=FirstRun(setup_code),
        planning=planning,
        labels=Labels(store=store, bridge=bridge, clock=clock, cache_s=settings.account_cache_s),
        configuration=configuration,
        care=care,
        notifications=notifications,
        partners=partners,
        upstream=upstream,
        abort=abort,
        sheds=sheds,
        grid=grid,
    )


def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


def _principal(request: Request) -> Principal:
    return cast(Principal, request.scope[PRINCIPAL])


Uses = Annotated[Services, Depends(_services)]
"""Parameter of a route: the services."""
Who = Annotated[Principal, Depends(_principal)]
"""Parameter of a route: who asks. The gate let them in already."""
