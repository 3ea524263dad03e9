"""A roaming server on a real socket, a real store in a file, and a controller that decides nothing."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.ocpi.partners import PartnerBook, invited
from adapters.ocpi.server import OcpiServer
from adapters.ocpi.settings import OcpiSettings, PlaceSettings
from adapters.store.sqlite_store import SqliteStore
from controller.decision import Condition
from controller.pricing import Dimension, PriceComponent, Tariff, TariffElement
from controller.site import EvseId, StationId
from controller.station import EvseState
from controller.transaction import IdToken, Transaction, TransactionId
from tests.adapters.ocpi.peer import Emsp, a_token, an_emsp
from tests.fakes.control import FakeControl, a_site, an_evse_status

STATION, EVSE = StationId("CP001"), EvseId("CP001/1")


class NoConditions:
    def begin(self, condition: Condition) -> None:
        raise AssertionError(condition)

    def end(self, code: str, subject: str) -> None:
        """Nothing was begun."""


class WallClock:
    def monotonic_s(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)


def a_tariff(price: str = "0.40") -> Tariff:
    energy = PriceComponent(
        dimension=Dimension.ENERGY, price=Decimal(price), vat_percent=Decimal(25)
    )
    return Tariff(id="standard", currency="EUR", elements=(TariffElement(components=(energy,)),))


def settings(**changes: Any) -> OcpiSettings:
    wanted: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "url": "http://127.0.0.1:1/ocpi",
        "country_code": "SE",
        "party_id": "WKP",
        "operator": "Depot Nord AB",
        "place": PlaceSettings(
            name="Depot Nord",
            address="Industrigatan 1",
            city="Umea",
            country="SWE",
            latitude=63.825,
            longitude=20.263,
            timezone="Europe/Stockholm",
        ),
        "tariff": a_tariff(),
        "allow_private_partners": True,
        "sync_interval_s": 0.1,
        "page_limit": 3,
        "authorize_timeout_s": 0.5,
        "requests_per_s": 1000.0,
        **changes,
    }
    return OcpiSettings(**wanted)


@dataclass
class Cpo:
    """Everything of the operator's side, and a loop for its store and controller."""

    loop: asyncio.AbstractEventLoop
    store: SqliteStore
    control: FakeControl
    server: OcpiServer
    url: str

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def show(self, **evses: Any) -> None:
        """Publish a plan in which every EVSE is free, but for those named by their station."""
        site = self.control.site
        statuses = {}
        for evse in site.evses():
            wanted = evses.get(
                evse.station, {"state": EvseState.AVAILABLE, "transaction": None, "id_token": None}
            )
            statuses[evse.id] = an_evse_status(evse, **wanted)
        self.control.publish(evses=statuses)

    def invite(self, name: str = "msp") -> str:
        book = PartnerBook(self.store)
        self.run(book.load())
        partner, token = invited(name, taken=frozenset(p.id for p in book.all()))
        self.run(book.save(partner, datetime.now(UTC)))
        headers = {"Authorization": f"Token {token}"}
        while httpx.get(f"{self.url}/versions", headers=headers).status_code != 200:
            time.sleep(0.05)  # the server reads invitations of other processes now and then
        return token

    def partner(self, name: str = "msp") -> Any:
        book = PartnerBook(self.store)
        self.run(book.load())
        return book.get(name)

    def charge(self, token: str, **changes: Any) -> Transaction:
        """Open a transaction as a station would."""
        wanted: dict[str, Any] = {
            "id": TransactionId("4711"),
            "station": STATION,
            "evse": EVSE,
            "id_token": IdToken(token),
            "started_at": datetime.now(UTC).replace(microsecond=0),
            "start_wh": 1000.0,
            "last_wh": 1000.0,
            **changes,
        }
        transaction = Transaction(**wanted)
        self.run(self.store.open_transaction(transaction, offline=False))
        return transaction

    def authorize(self, token: str) -> Any:
        return self.run(self.server.authorize(STATION, IdToken(token)))


def started(folder: Path, **changes: Any) -> Iterator[Cpo]:
    """Run a server until the test is over."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    store = SqliteStore.open(folder / "w.db", conditions=NoConditions(), clock=WallClock())
    control = FakeControl(a_site(stations=4))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/ocpi"
    server = OcpiServer(
        settings=settings(**{**changes, "port": port, "url": url}),
        site=control.site,
        control=control,
        store=store,
        documents=store,
        clock=WallClock(),
        key_file=folder / "w.db.partners.key",
    )

    async def begin() -> None:
        server.start()

    asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    cpo = Cpo(loop=loop, store=store, control=control, server=server, url=url)
    cpo.show()
    try:
        yield cpo
    finally:
        server.stop()
        asyncio.run_coroutine_threadsafe(store.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


@pytest.fixture
def cpo(tmp_path: Path) -> Iterator[Cpo]:
    yield from started(tmp_path)


@pytest.fixture
def emsp() -> Iterator[Emsp]:
    with an_emsp() as peer:
        yield peer


@pytest.fixture
def registered(cpo: Cpo, emsp: Emsp) -> tuple[Cpo, Emsp]:
    emsp.tokens = [a_token(f"04AABBC{n}") for n in range(5)]
    answer = emsp.register(f"{cpo.url}/versions", cpo.invite())
    assert answer.json()["status_code"] == 1000, answer.text
    return cpo, emsp
