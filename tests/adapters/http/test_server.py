"""The server's own thread and socket: it starts, stops, and never holds up control."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from adapters.http.bridge import Bridge
from adapters.http.problems import ProblemError
from adapters.http.server import HttpServer, ListenError
from adapters.http.settings import HttpSettings
from controller.records import Role
from tests.adapters.http.conftest import FakeClock, FakeStore, Rig, Site
from tests.fakes.control import FakeControl


def a_server(port: int, host: str = "127.0.0.1") -> HttpServer:
    return HttpServer(
        settings=HttpSettings(host=host, port=port),
        control=FakeControl(),
        store=FakeStore(),  # type: ignore[arg-type]
        clock=FakeClock(),
    )


def test_a_port_in_use_is_named_with_the_mend() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ListenError) as caught:
            a_server(port).start()

    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "listen: HOST:PORT" in str(caught.value)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 8080), ("127.0.0.1", 70000)])
def test_an_address_that_is_not_ours_is_named(host: str, port: int) -> None:
    with pytest.raises(ListenError, match=f"{host}:{port}"):
        a_server(port, host).start()


def test_the_port_is_free_again_after_the_stop(rig: Rig) -> None:
    site = rig.start()
    port = site.server.port
    site.server.stop()

    again = rig.start(port=port)

    assert again.client().get("/healthz").status_code == 200


def test_stopping_at_once_stops(rig: Rig) -> None:
    site = rig.start()
    begin_s = time.monotonic()
    site.server.stop()

    assert time.monotonic() - begin_s < 8.0
    assert not site.server._thread.is_alive()  # type: ignore[union-attr]


def test_stopping_ends_open_streams_quickly(site: Site) -> None:
    with site.client(Role.VIEWER).stream("GET", "/api/v1/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        begin_s = time.monotonic()
        site.server.stop()
        assert time.monotonic() - begin_s < 8.0
        assert [line for line in lines if line.startswith("id: ")] == []


def test_store_and_controller_are_called_on_their_own_loop_only(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    client.patch("/api/v1/circuits/main", json={"limit_a": 60})
    client.post("/api/v1/evses/CP001/1/unlock")
    client.get("/api/v1/sessions.csv")

    assert {site.main_thread} == site.store.threads | site.control.threads


def test_a_blocked_control_loop_does_not_stop_live_figures(rig: Rig) -> None:
    site = rig.start(call_timeout_s=0.3)
    client = site.client(Role.OPERATOR)
    client.get("/api/v1/site")
    hold = threading.Event()
    rig.main.loop.call_soon_threadsafe(hold.wait, 5)

    assert client.get("/api/v1/site").status_code == 200
    assert client.get("/api/v1/tokens").status_code == 503
    hold.set()
    assert client.get("/api/v1/tokens").status_code == 200


def test_busy_clients_do_not_delay_the_control_loop(rig: Rig) -> None:
    site = rig.start()
    late_s: list[float] = []

    async def tick() -> None:
        for _ in range(100):
            due_s = time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            late_s.append(time.monotonic() - due_s)

    stop = threading.Event()

    def hammer() -> None:
        with site.client(Role.OPERATOR) as client:
            while not stop.is_set():
                client.get("/api/v1/tokens")

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    asyncio.run_coroutine_threadsafe(tick(), rig.main.loop).result(30)
    stop.set()
    for thread in threads:
        thread.join()

    assert sorted(late_s)[90] < 1.0


def test_half_open_connections_are_cut_and_others_are_served(rig: Rig) -> None:
    site = rig.start(head_timeout_s=0.5)
    peers = [socket.create_connection(("127.0.0.1", site.server.port)) for _ in range(100)]
    for peer in peers:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")

    assert site.client().get("/healthz").status_code == 200
    for peer in peers:
        peer.settimeout(5)
        with peer:
            assert peer.recv(1) == b""


def test_a_change_is_carried_through_when_nobody_waits_any_more(rig: Rig) -> None:
    done = threading.Event()

    async def change() -> None:
        await asyncio.sleep(0.2)
        done.set()

    async def ask() -> None:
        bridge = Bridge(rig.main.loop)
        with pytest.raises(ProblemError):
            await bridge.carry_out(change(), timeout_s=0.05)

    asyncio.run(ask())

    assert done.wait(2)


def test_a_question_is_withdrawn_when_nobody_waits_any_more(rig: Rig) -> None:
    ended: list[str] = []

    async def question() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            ended.append("cancelled")

    async def ask() -> None:
        with pytest.raises(ProblemError):
            await Bridge(rig.main.loop, timeout_s=0.05).run(question())

    asyncio.run(ask())
    rig.main.call(lambda: None)

    assert ended == ["cancelled"]


def test_calls_wait_their_turn(rig: Rig) -> None:
    at_once: list[int] = []
    under_way = 0

    async def call() -> None:
        nonlocal under_way
        under_way += 1
        at_once.append(under_way)
        await asyncio.sleep(0.01)
        under_way -= 1

    async def ask() -> None:
        bridge = Bridge(rig.main.loop, max_calls=3)
        await asyncio.gather(*(bridge.run(call()) for _ in range(12)))

    asyncio.run(ask())

    assert max(at_once) == 3


def test_a_controller_that_stopped_is_a_problem() -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    async def work() -> None:
        return None

    with pytest.raises(ProblemError, match="stopping"):
        asyncio.run(Bridge(loop).run(work()))
