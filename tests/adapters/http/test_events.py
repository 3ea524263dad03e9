"""Live events over a real socket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from controller.records import Role
from controller.site import EvseId
from controller.station import EvseState
from tests.adapters.http.conftest import TOKENS, Rig, Site
from tests.fakes.control import FakeControl, a_site, an_alarm, an_evse_status


@dataclass
class Event:
    id: str = ""
    kind: str = ""
    data: dict[str, object] | None = None


class Stream:
    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.comments = 0
        self._lines = answer.iter_lines()

    def next(self) -> Event:
        event = Event()
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif not line and event.kind:
                return event
            name, _, value = line.partition(": ")
            match name:
                case "id":
                    event.id = value
                case "event":
                    event.kind = value
                case "data":
                    event.data = json.loads(value)
        raise EOFError

    def until(self, kind: str) -> Event:
        while (event := self.next()).kind != kind:
            continue
        return event


@contextmanager
def stream(
    site: Site, *, last_event_id: str | None = None, deltas: bool = False
) -> Iterator[Stream]:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    path = "/api/v1/events" + ("?deltas=true" if deltas else "")
    with site.client(Role.VIEWER).stream("GET", path, headers=headers) as answer:
        yield Stream(answer)


def listening(site: Site) -> int:
    server = site.server._server
    return server._services.feed.clients if server else 0  # type: ignore[attr-defined]


def wait_for(site: Site, *, clients: int) -> None:
    end_s = time.monotonic() + 5
    while listening(site) != clients:
        assert time.monotonic() < end_s, listening(site)
        time.sleep(0.01)


def wait_for_frame(site: Site) -> None:
    """Wait until the feed has taken in the latest plan."""
    end_s = time.monotonic() + 5
    feed = site.server._server._services.feed  # type: ignore[union-attr, attr-defined]
    while feed._plan is not site.control.plan():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_one_frame_per_cycle(site: Site) -> None:
    with stream(site) as events:
        first = events.next()
        site.control.publish()
        second = events.next()

    assert (first.kind, second.kind) == ("cycle", "cycle")
    assert first.data is not None
    assert second.data is not None
    assert first.data["at"] != second.data["at"]
    assert {"at", "mode", "last_cycle", "alarms", "circuits", "evses"} == set(second.data)
    assert int(first.id.partition("-")[2]) + 1 == int(second.id.partition("-")[2])


def test_a_frame_holds_no_whole_token(site: Site) -> None:
    with stream(site) as events:
        text = json.dumps(events.next().data, ensure_ascii=False)

    assert "…C3D4" in text
    assert "04A1B2C3D4" not in text


def test_alarms_begin_and_end(site: Site) -> None:
    with stream(site) as events:
        events.next()
        site.control.in_force = (an_alarm(),)
        begun = events.until("alarm").data
        site.control.in_force = ()
        ended = events.until("alarm").data

    assert begun is not None
    assert ended is not None
    assert (begun["code"], begun["end"]) == ("METER_LOST", None)
    assert (ended["code"], ended["end"]) == ("METER_LOST", "2026-03-02T08:00:00.000Z")


def test_a_change_of_state(site: Site) -> None:
    evse = site.control.site.evse(EvseId("CP001/1"))
    assert evse is not None
    with stream(site) as events:
        events.next()
        status = an_evse_status(evse, state=EvseState.SUSPENDED_EV)
        site.control.publish(evses={evse.id: status})
        change = events.until("state").data

    assert change is not None
    assert (
        change["id"],
        change["before"],
        change["state"],
    ) == ("CP001/1", "charging", "suspended_ev")


def test_a_client_resumes_where_it_left(site: Site) -> None:
    with stream(site) as events:
        last = events.next().id
    for _ in range(3):
        site.control.publish()
        time.sleep(0.25)

    with stream(site, last_event_id=last) as events:
        numbers = [int(events.next().id.partition("-")[2]) for _ in range(3)]

    first = int(last.partition("-")[2])
    assert [first + 1, first + 2, first + 3] == numbers


@pytest.mark.parametrize("last", ["deadbeef-1", "x", "deadbeef-99999999999999999999", "-"])
def test_an_id_of_another_run_says_that_events_are_lost(shared: Site, last: str) -> None:
    with stream(shared, last_event_id=last) as events:
        kinds = [events.next().kind, events.next().kind]

    assert kinds == ["gap", "cycle"]


def test_an_id_that_fell_out_of_the_ring_says_so(rig: Rig) -> None:
    site = rig.start(event_ring=2, poll_s=0.02)
    with stream(site) as events:
        last = events.next().id
        for _ in range(5):
            site.control.publish()
            events.next()

    with stream(site, last_event_id=last) as events:
        assert events.next().kind == "gap"


def test_a_quiet_stream_beats(rig: Rig) -> None:
    site = rig.start(heartbeat_s=0.1)
    with stream(site) as events:
        events.next()
        time.sleep(0.5)
        site.control.publish()
        events.next()

    assert events.comments >= 2


def test_a_revoked_account_is_cut_off(rig: Rig) -> None:
    site = rig.start(heartbeat_s=0.1)
    with stream(site) as events:
        events.next()
        site.store.digests.clear()
        site.clock.added_s = 6.0
        with pytest.raises(EOFError):
            events.next()


def test_too_many_listeners_are_refused(rig: Rig) -> None:
    site = rig.start(max_event_clients=2)
    with stream(site) as one, stream(site) as two, stream(site) as three:
        assert [one.status, two.status, three.status] == [200, 200, 503]
    wait_for(site, clients=0)
    with stream(site) as again:
        assert again.status == 200


def test_no_new_stream_while_this_machine_is_short_and_those_there_are_go_on(rig: Rig) -> None:
    is_short = [False]
    site = rig.start(sheds=lambda: is_short[0])
    with stream(site) as one:
        one.next()
        is_short[0] = True
        with stream(site) as two:
            assert two.status == 503
        site.control.publish()
        assert one.until("cycle").kind == "cycle"
    assert site.client(Role.VIEWER).get("/api/v1/site").status_code == 200
    is_short[0] = False
    with stream(site) as again:
        assert again.status == 200


def test_a_slow_client_is_dropped_and_the_others_are_not(rig: Rig) -> None:
    control = FakeControl(a_site(stations=200))
    control.publish()
    site = rig.start(control=control, event_queue=4, poll_s=0.01)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", site.server.port))
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKENS[Role.VIEWER]}\r\n\r\n"
    deaf.sendall(request.encode())
    wait_for(site, clients=1)

    with deaf, stream(site) as events:
        seen = 0
        end_s = time.monotonic() + 20
        while listening(site) == 2 or seen < 5:
            assert time.monotonic() < end_s
            control.publish()
            events.next()
            seen += 1
        control.publish()
        assert events.next().kind == "cycle"
        # Cut off, although the deaf client took nothing of what was buffered for it.
        open_ones = site.server._server.server_state.connections  # type: ignore[union-attr]
        while len(open_ones) > 1 and time.monotonic() < end_s:
            time.sleep(0.01)
        assert len(open_ones) == 1


def a_changed_plan(site: Site, setpoint_a: float) -> None:
    """Publish a cycle in which one EVSE of three has another setpoint."""
    first, *others = site.control.site.evses()
    changed = {first.id: an_evse_status(first, setpoint_a=setpoint_a)}
    site.control.publish(evses={**changed, **{e.id: an_evse_status(e) for e in others}})


def test_a_client_may_ask_for_what_changed_only(site: Site) -> None:
    with stream(site, deltas=True) as events, stream(site) as whole:
        assert [events.until("cycle").kind, whole.until("cycle").kind] == ["cycle", "cycle"]
        a_changed_plan(site, 9.0)
        delta, full = events.until("delta"), whole.until("cycle")

    assert delta.id == full.id
    assert delta.data is not None
    assert full.data is not None
    assert [e["id"] for e in delta.data["evses"]] == ["CP001/1"]  # type: ignore[index]
    assert len(full.data["evses"]) == 3  # type: ignore[arg-type]
    assert (delta.data["gone"], delta.data["mode"]) == ([], "normal")


def test_deltas_add_up_to_the_whole_also_after_a_gap_in_the_connection(site: Site) -> None:
    with stream(site, deltas=True) as events:
        first = events.until("cycle")
    shown = {e["id"]: e for e in first.data["evses"]}  # type: ignore[index]
    for setpoint_a in (9.0, 10.0, 11.0):
        a_changed_plan(site, setpoint_a)
        wait_for_frame(site)

    with stream(site, deltas=True, last_event_id=first.id) as events:
        for _ in range(3):
            for evse in events.until("delta").data["evses"]:  # type: ignore[index]
                shown[evse["id"]] = evse
    with stream(site) as events:
        whole = events.until("cycle")

    assert shown == {e["id"]: e for e in whole.data["evses"]}  # type: ignore[index]


def test_a_whole_frame_comes_now_and_then(rig: Rig) -> None:
    site = rig.start(event_full_every=2)
    kinds = []
    with stream(site, deltas=True) as events:
        events.until("cycle")
        for setpoint_a in (9.0, 10.0, 11.0):
            a_changed_plan(site, setpoint_a)
            kinds.append(events.next().kind)

    assert "cycle" in kinds
    assert "delta" in kinds


def test_an_evse_that_vanished_is_named(site: Site) -> None:
    with stream(site, deltas=True) as events:
        events.until("cycle")
        first, *_ = site.control.site.evses()
        site.control.publish(evses={first.id: an_evse_status(first)})

        assert events.until("delta").data["gone"] == ["CP002/1", "CP003/1"]  # type: ignore[index]
