"""How much the OCPP side carries: against the bare library, with a thousand stations, and a push to all.

Run: python benchmarks/ocpp.py [--stations 1000] [--seconds 30] [--messages 20000] [--profile]. The stations are a
process of their own on loopback; the figures are the server's alone. Both servers validate every message in full
against the same schemas; the bare library runs as it comes. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import cProfile
import json
import logging
import pstats
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

# This file has the name of the library it is compared with: the root takes the place of its folder.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import structlog
import uvloop
import websockets
from websockets.asyncio.client import ClientConnection, connect

from adapters.ocpp.book import StationBook
from adapters.ocpp.frames import OCPP16, OCPP201
from adapters.ocpp.server import OcppServer
from adapters.ocpp.settings import OcppSettings
from adapters.ocpp.translation import DialectSettings
from adapters.ocpp.v16 import V16Dialect
from adapters.ocpp.v201 import V201Dialect
from controller.commands import Applied, SetLimit
from controller.site import EvseId
from controller.station import TransactionChanged
from controller.transaction import TransactionId
from tests.fakes.desk import RecordingConditions, RecordingDesk, SecretBook, SystemClock

PHASES = ("L1", "L2", "L3")
WARM_UP = 1000
INTERVAL_S = 10.0
STARTING_S = 20.0
"""Until all stations are connected and have a transaction. [s]"""
PUSHES_S = 40.0
"""The end of a run, in which limits are pushed; answers are not timed then. [s]"""
SETTLE_S = 15.0
"""From the last station's start until its provisioning is over. [s]"""


def now() -> str:
    """Return the time as stations write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def meter_values(number: int) -> str:
    """Write a MeterValues CALL with eight values."""
    sampled = [
        {"value": "10.1", "measurand": "Current.Import", "phase": p, "unit": "A"} for p in PHASES
    ]
    sampled += [{"value": "230.4", "measurand": "Voltage", "phase": p, "unit": "V"} for p in PHASES]
    sampled += [
        {"value": "6900.0", "measurand": "Power.Active.Import", "unit": "W"},
        {"value": "123456.0", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
    ]
    value = {"timestamp": now(), "sampledValue": sampled}
    return json.dumps([2, str(number), "MeterValues", {"connectorId": 1, "meterValue": [value]}])


def transaction_event(number: int) -> str:
    """Write a TransactionEvent CALL of 2.0.1 with the same eight values."""
    sampled = [{"value": 10.1, "measurand": "Current.Import", "phase": p} for p in PHASES]
    sampled += [{"value": 230.4, "measurand": "Voltage", "phase": p} for p in PHASES]
    sampled += [
        {"value": 6900.0, "measurand": "Power.Active.Import"},
        {"value": 123456.0, "measurand": "Energy.Active.Import.Register"},
    ]
    payload = {
        "eventType": "Updated",
        "timestamp": now(),
        "triggerReason": "MeterValuePeriodic",
        "seqNo": number,
        "transactionInfo": {"transactionId": "tx", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": [{"timestamp": now(), "sampledValue": sampled}],
    }
    return json.dumps([2, str(number), "TransactionEvent", payload])


# --- the stations -----------------------------------------------------------------------------------


async def station(
    url: str, work: Callable[[ClientConnection], Awaitable[None]], protocol: str
) -> None:
    """Connect as a station and work until it is done."""
    name = url.rpartition("/")[2]
    credentials = base64.b64encode(f"{name}:secret".encode()).decode()
    for attempt in range(20):
        try:
            socket = await connect(
                url,
                subprotocols=[websockets.Subprotocol(protocol)],
                additional_headers={"Authorization": f"Basic {credentials}"},
                compression=None,
                proxy=None,
                ping_interval=None,
                open_timeout=60,
            )
        except (OSError, websockets.InvalidHandshake, TimeoutError):
            await asyncio.sleep(0.2 * (attempt + 1))
            continue
        async with socket:
            await work(socket)
        return
    raise ConnectionError(url)


async def reply(socket: ClientConnection, frame: list[Any]) -> None:
    """Answer a CALL as a willing station does."""
    payload = {} if frame[2] == "GetConfiguration" else {"status": "Accepted"}
    await socket.send(json.dumps([3, frame[1], payload]))


def saturating(
    messages: int, write: Callable[[int], str]
) -> Callable[[ClientConnection], Awaitable[None]]:
    """Send the next message when the last one was answered."""

    async def work(socket: ClientConnection) -> None:
        for number in range(messages):
            await socket.send(write(number))
            while True:
                frame = json.loads(await socket.recv())
                if frame[0] == 2:
                    await reply(socket, frame)
                else:
                    break

    return work


def steady(
    index: int, from_s: float, until_s: float, late_s: list[float]
) -> Callable[[ClientConnection], Awaitable[None]]:
    """Send meter values every 10 s and note how long the answers took once all have settled."""

    async def work(socket: ClientConnection) -> None:
        sent_s: dict[str, float] = {}

        async def listen() -> None:
            async for text in socket:
                frame = json.loads(text)
                if frame[0] == 2:
                    await reply(socket, frame)
                elif frame[1] in sent_s:
                    late_s.append(time.monotonic() - sent_s.pop(frame[1]))

        listener = asyncio.ensure_future(listen())
        start = {"connectorId": 1, "idTag": "CARD", "meterStart": index, "timestamp": now()}
        await socket.send(json.dumps([2, "start", "StartTransaction", start]))
        await asyncio.sleep(INTERVAL_S * ((index * 0.61803) % 1.0))
        number = 0
        while time.monotonic() < until_s:
            if from_s <= time.monotonic() <= until_s - PUSHES_S:
                sent_s[str(number)] = time.monotonic()
            await socket.send(meter_values(number))
            number += 1
            await asyncio.sleep(INTERVAL_S)
        listener.cancel()

    return work


async def be_stations(arguments: argparse.Namespace) -> None:
    """Run the stations' side; prints the figures as JSON."""
    late_s: list[float] = []
    from_s = time.monotonic() + STARTING_S
    until_s = time.monotonic() + arguments.seconds
    jobs = []
    for index in range(arguments.stations):
        url = f"ws://127.0.0.1:{arguments.port}/CP{index:04d}"
        if arguments.messages:
            write = meter_values if arguments.protocol == OCPP16 else transaction_event
            work = saturating(arguments.messages // arguments.stations, write)
        else:
            work = steady(index, from_s, until_s, late_s)
        jobs.append(station(url, work, arguments.protocol))
    await asyncio.gather(*jobs)
    late_s.sort()
    figures = {"answers": len(late_s)}
    if late_s:
        figures |= {
            "p50_ms": round(1000 * statistics.median(late_s), 2),
            "p99_ms": round(1000 * late_s[int(len(late_s) * 0.99)], 2),
            "max_ms": round(1000 * late_s[-1], 2),
        }
    print(json.dumps(figures))


async def stations(
    port: int, *, count: int, messages: int = 0, seconds: float = 0.0, protocol: str = OCPP16
) -> Any:
    """Start the stations' process and return what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        *("--role", "stations", "--port", str(port), "--stations", str(count)),
        *("--messages", str(messages), "--seconds", str(seconds), "--protocol", protocol),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return json.loads(out)


# --- the servers --------------------------------------------------------------------------------------


class QuietDesk(RecordingDesk):
    """Counts events instead of keeping them."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.events = _Counter()  # type: ignore[assignment]


class _Counter(list[Any]):
    def append(self, item: Any) -> None:
        """Keep starts and ends of transactions only."""
        if isinstance(item, TransactionChanged):
            super().append(item)


class EmptyDialect:
    """Answers like the handler of the bare library: with nothing."""

    def __init__(self, caller: Any) -> None:
        self.caller = caller

    async def on_call(self, action: str, payload: dict[str, Any], received: Any) -> dict[str, Any]:
        """Answer."""
        return {}

    async def on_open(self) -> None:
        """Begin."""

    async def on_close(self) -> None:
        """End."""


def our_server(count: int, *, empty: bool = False) -> tuple[OcppServer, QuietDesk]:
    """Build our server with a desk in memory.

    Args:
        count: Stations it knows.
        empty: With a handler that does nothing, like the library's; False: the real translation.
    """
    desk, clock = QuietDesk([f"CP{n:04d}" for n in range(count)]), SystemClock()
    settings = DialectSettings()
    book = StationBook(clock=clock, pending_boots=False)
    server = OcppServer(
        settings=OcppSettings(port=0, frames_per_s=1e6, frames_burst=10**6),
        desk=desk,
        store=SecretBook({f"CP{n:04d}": b"secret" for n in range(count)}),
        conditions=RecordingConditions(),
        clock=clock,
        dialects={
            "ocpp1.6": lambda c: (
                EmptyDialect(c)
                if empty
                else V16Dialect(c, desk=desk, clock=clock, settings=settings, book=book)
            ),
            "ocpp2.0.1": lambda c: (
                EmptyDialect(c)
                if empty
                else V201Dialect(c, desk=desk, clock=clock, settings=settings, book=book)
            ),
        },
    )
    return server, desk


async def throughput_of_ours(
    messages: int, count: int, *, empty: bool, protocol: str = OCPP16
) -> float:
    """Return CPU microseconds per message."""
    server, _ = our_server(count, empty=empty)
    await server.start()
    await stations(server.port, count=count, messages=WARM_UP, protocol=protocol)
    began_s = time.process_time()
    await stations(server.port, count=count, messages=messages, protocol=protocol)
    used_s = time.process_time() - began_s
    await server.stop()
    return 1e6 * used_s / messages


async def throughput_of_library(messages: int, count: int, protocol: str = OCPP16) -> float:
    """Return CPU microseconds per message of the library as it comes."""
    from ocpp.routing import on
    from ocpp.v16 import ChargePoint as ChargePoint16
    from ocpp.v16 import call_result as result16
    from ocpp.v201 import ChargePoint as ChargePoint201
    from ocpp.v201 import call_result as result201

    class Bare16(ChargePoint16):  # type: ignore[misc]
        @on("MeterValues")
        def on_meter_values(self, **_: Any) -> Any:
            return result16.MeterValues()

    class Bare201(ChargePoint201):  # type: ignore[misc]
        @on("TransactionEvent")
        def on_transaction_event(self, **_: Any) -> Any:
            return result201.TransactionEvent()

    kind = Bare16 if protocol == OCPP16 else Bare201

    async def serve(socket: Any) -> None:
        try:
            await kind(socket.request.path.strip("/"), socket).start()
        except websockets.ConnectionClosed:
            return

    async with websockets.serve(serve, "127.0.0.1", 0, subprotocols=[protocol]) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        await stations(port, count=count, messages=WARM_UP, protocol=protocol)
        began_s = time.process_time()
        await stations(port, count=count, messages=messages, protocol=protocol)
        return 1e6 * (time.process_time() - began_s) / messages


async def many(count: int, seconds: float) -> None:
    """Print the figures of many stations, and of one limit pushed to all of them."""
    server, desk = our_server(count)
    await server.start()
    clients = asyncio.ensure_future(
        stations(server.port, count=count, seconds=STARTING_S + seconds + PUSHES_S)
    )
    while len(desk.events) < count:  # noqa: ASYNC110 - the desk tells nobody
        await asyncio.sleep(0.2)
    await asyncio.sleep(SETTLE_S)
    cpu_s, began_s = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    share = (time.process_time() - cpu_s) / (time.monotonic() - began_s)
    transactions = {e.transaction.evse: e.transaction.id for e in desk.events}
    await _push(server, transactions, 8.0)
    await asyncio.sleep(2.0)
    cpu_s, began_s = time.process_time(), time.monotonic()
    results = await _push(server, transactions, 10.0)
    pushed_cpu_s, pushed_s = time.process_time() - cpu_s, time.monotonic() - began_s
    figures = await clients
    await server.stop()
    applied = sum(isinstance(r, Applied) for r in results)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count} stations, meter values every 10 s: {figures}")
    print(f"  CPU of one core     {100 * share:.1f} %")
    print(f"  memory (peak RSS)   {rss:.0f} MiB")
    print(
        f"  push to all: {applied} of {count} applied, {pushed_cpu_s:.3f} s CPU, {pushed_s:.2f} s"
    )


async def _push(
    server: OcppServer, transactions: dict[EvseId, TransactionId], limit_a: float
) -> list[Any]:
    return await asyncio.gather(
        *(server.apply(_limit(evse, number, limit_a)) for evse, number in transactions.items())
    )


def _limit(evse: EvseId, transaction: TransactionId, limit_a: float) -> SetLimit:
    return SetLimit(
        evse=evse, limit_a=limit_a, lease_s=300.0, transaction=transaction, cause="bench"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", default="all")
    parser.add_argument("--protocol", default=OCPP16)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--stations", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    if arguments.role == "stations":
        uvloop.run(be_stations(arguments))
        return
    profiler = cProfile.Profile()
    for protocol, message in ((OCPP16, "MeterValues"), (OCPP201, "TransactionEvent")):
        library_us = asyncio.run(throughput_of_library(arguments.messages // 4, 50, protocol))
        ours_us, whole_us = (
            uvloop.run(throughput_of_ours(arguments.messages, 50, empty=e, protocol=protocol))
            for e in (True, False)
        )
        print(
            f"{protocol} {message} with eight values, 50 stations, CPU of the server per message:"
        )
        for name, us in (
            ("library as it comes, empty handler", library_us),
            ("ours, empty handler", ours_us),
            ("ours, translated, scaled and booked", whole_us),
        ):
            print(f"  {name:36} {us:6.0f} us {1e6 / us:8.0f} messages/s  x {library_us / us:.1f}")
    if arguments.profile:
        profiler.enable()
        uvloop.run(throughput_of_ours(arguments.messages, 50, empty=False))
        profiler.disable()
    if arguments.profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
    uvloop.run(many(arguments.stations, arguments.seconds))


if __name__ == "__main__":
    main()
