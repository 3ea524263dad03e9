from __future__ import annotations

import asyncio
import base64
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters.influx import uploader
from adapters.influx.settings import InfluxSettings
from adapters.influx.uploader import InfluxUploader
from adapters.store.sqlite_store import SqliteStore
from controller.decision import Condition, Severity
from tests.adapters.influx.influx_site import (
    NO_CONTENT,
    START,
    Answer,
    Conditions,
    RealClock,
    Request,
    a_sample,
    peer_answering,
    run,
    settings_for,
    some_samples,
    until,
    until_uploaded,
    uploading,
)
from tests.fakes.memory_store import MemoryStore


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "BACKOFF_S", (0.02, 0.1))


def a_spool(count: int = 20) -> MemoryStore:
    spool = MemoryStore()
    spool.put_samples(some_samples(count))
    return spool


def stamps(lines: list[str]) -> list[int]:
    """Seconds after the start, in the order of arrival."""
    return [int(line.rsplit(" ", 1)[1]) // 1000 - int(START.timestamp()) for line in lines]


class Script:
    """Answers in order, then with 204."""

    def __init__(self, *answers: Answer | None) -> None:
        self.answers = list(answers)

    def __call__(self, request: Request) -> Answer | None:
        return self.answers.pop(0) if self.answers else NO_CONTENT


@pytest.mark.parametrize("is_compressed", [True, False])
@pytest.mark.parametrize("place", [{"bucket": "b", "org": "o"}, {"database": "d"}])
def test_samples_arrive_once(is_compressed: bool, place: dict[str, str]) -> None:
    async def scenario() -> None:
        spool = a_spool()
        async with peer_answering(Script()) as peer:
            settings = settings_for(peer.port, gzip=is_compressed, **place)
            async with uploading(settings, spool) as upload:
                await until_uploaded(spool, settings)
                spool.put_samples(some_samples(10, start=20))
                await until_uploaded(spool, settings)
                await until(lambda: upload.stats()["sent"] == 30)
                assert upload.stats()["spool_depth"] in (0, 10)
            assert len(peer.stored) == len(set(peer.stored)) == 30
            assert is_compressed == ("content-encoding" in peer.requests[0].headers)

    run(scenario)


def test_address_and_secrets_of_both_versions(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WK_TEST_SECRET", "pla1nted")
    caplog.set_level(logging.DEBUG)

    async def first_request(**place: Any) -> Request:
        spool = a_spool()
        async with peer_answering(Script((401, {}, "no"))) as peer:
            settings = settings_for(peer.port, **place)
            conditions = Conditions()
            async with uploading(settings, spool, conditions):
                await until_uploaded(spool, settings)
            assert not any("pla1nted" in text for text in conditions.texts)
            assert "pla1nted" not in settings.target + repr(settings)
            return peer.requests[0]

    async def scenario() -> None:
        two = await first_request(bucket="b", org="o", token_env="WK_TEST_SECRET")
        assert two.path == "/api/v2/write?org=o&bucket=b&precision=ms"
        assert two.headers["authorization"] == "Token pla1nted"
        one = await first_request(
            database="d", retention_policy="r", username="u", password_env="WK_TEST_SECRET"
        )
        assert one.path == "/write?db=d&precision=ms&rp=r"
        login = base64.b64encode(b"u:pla1nted").decode()
        assert one.headers["authorization"] == f"Basic {login}"

    run(scenario)
    assert "pla1nted" not in caplog.text


@pytest.mark.parametrize("status", [500, 503, 429])
def test_failing_server_is_one_condition_and_loses_nothing(
    status: int, record_property: Callable[[str, object], None]
) -> None:
    async def scenario() -> None:
        spool, conditions = a_spool(), Conditions()
        busy: Answer = (status, {"Retry-After": "0.05"}, "busy")
        async with peer_answering(Script(busy, busy, busy)) as peer:
            settings, begun_s = settings_for(peer.port), time.monotonic()
            async with uploading(settings, spool, conditions):
                await until(lambda: bool(conditions.log))
                record_property("fault_t_d_s", time.monotonic() - begun_s)
                await until_uploaded(spool, settings)
                await until(lambda: len(conditions.log) == 2)
            assert conditions.log == ["begin INFLUX_UNREACHABLE", "end INFLUX_UNREACHABLE"]
            assert settings.url in conditions.texts[0]
            assert len(peer.stored) == len(set(peer.stored)) == 20
            record_property("fault_lost", 20 - len(set(peer.stored)))

    run(scenario)


def test_retry_after_is_honoured() -> None:
    async def scenario() -> None:
        spool = a_spool()
        async with peer_answering(Script((429, {"Retry-After": "1"}, ""))) as peer:
            settings = settings_for(peer.port)
            async with uploading(settings, spool) as upload:
                await until(lambda: len(peer.requests) == 1)
                with pytest.raises(TimeoutError):
                    await until(lambda: len(peer.requests) > 1, timeout_s=0.8)
                await until(lambda: upload.stats()["sent"] == 20)

    run(scenario)


@pytest.mark.parametrize("timeout_s", [0.3, pytest.param(5.0, marks=pytest.mark.long)])
def test_hanging_server_is_left_by_timeout(
    timeout_s: float, record_property: Callable[[str, object], None]
) -> None:
    async def scenario() -> None:
        spool, conditions = a_spool(), Conditions()
        async with peer_answering(Script(None)) as peer:
            settings, begun_s = settings_for(peer.port, timeout_s=timeout_s), time.monotonic()
            async with uploading(settings, spool, conditions):
                await until(lambda: bool(conditions.log))
                record_property("fault_t_d_s", time.monotonic() - begun_s)
                await until_uploaded(spool, settings)
            assert conditions.log[0] == "begin INFLUX_UNREACHABLE"
            assert len(peer.stored) == 20

    run(scenario)


def test_absent_server_does_not_delay_the_start() -> None:
    async def scenario() -> None:
        spool, conditions = a_spool(), Conditions()
        async with peer_answering(Script()) as peer:
            port = peer.port
        async with uploading(settings_for(port), spool, conditions) as upload:
            await until(lambda: bool(conditions.log))
            assert upload.stats()["spool_depth"] == 20
            assert upload.stats()["oldest_unsent_age_s"] > 0.0

    run(scenario)


@pytest.mark.parametrize("answer", [(401, {}, "unauthorized"), (404, {}, "bucket not found")])
def test_denied_access_keeps_all_samples(answer: Answer) -> None:
    async def scenario() -> None:
        spool, conditions = a_spool(), Conditions()
        async with peer_answering(lambda _: answer) as peer:
            async with uploading(settings_for(peer.port), spool, conditions) as upload:
                await until(lambda: len(peer.requests) > 3)
                assert upload.stats()["quarantined"] == 0
            assert conditions.log == ["begin INFLUX_DENIED"]
            assert spool.quarantined == []

    run(scenario)


def test_missing_secret_is_named_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WK_TEST_SECRET", raising=False)

    async def scenario() -> None:
        conditions = Conditions()
        async with peer_answering(Script()) as peer:
            settings = settings_for(peer.port, token_env="WK_TEST_SECRET")
            async with uploading(settings, a_spool(), conditions):
                await until(lambda: bool(conditions.log))
            assert "WK_TEST_SECRET" in conditions.texts[0]
            assert peer.requests == []

    run(scenario)


def test_bad_lines_are_found_and_kept_aside() -> None:
    def refuse_text(request: Request) -> Answer:
        bad = any('"bad"' in line for line in request.lines)
        return (400, {}, "partial write: type conflict") if bad else NO_CONTENT

    async def scenario() -> None:
        spool = a_spool(100)
        for place in (3, 50, 99):
            spool.samples[place] = a_sample(place, p="bad")
        async with peer_answering(refuse_text) as peer:
            settings = settings_for(peer.port)
            async with uploading(settings, spool) as upload:
                await until_uploaded(spool, settings)
                await until(lambda: upload.stats()["sent"] == 97)
                assert upload.stats()["quarantined"] == 3
            assert sorted(s.cursor for _, s, _ in spool.quarantined) == [4, 51, 100]
            assert "type conflict" in spool.quarantined[0][2]
            assert len(peer.stored) == len(set(peer.stored)) == 97

    run(scenario)


def test_batch_that_is_refused_as_a_whole_costs_one_request() -> None:
    async def scenario() -> None:
        spool = a_spool(100)
        async with peer_answering(Script((400, {}, "conflict dropped=100"))) as peer:
            settings = settings_for(peer.port)
            async with uploading(settings, spool):
                await until_uploaded(spool, settings)
            assert len(peer.requests) == 1
            assert len(spool.quarantined) == 100

    run(scenario)


def test_inexpressible_sample_is_kept_aside_without_asking() -> None:
    async def scenario() -> None:
        spool = a_spool(3)
        spool.samples[1] = a_sample(1, p=float("nan"))
        async with peer_answering(Script()) as peer:
            settings = settings_for(peer.port)
            async with uploading(settings, spool):
                await until_uploaded(spool, settings)
            assert [s.cursor for _, s, _ in spool.quarantined] == [2]
            assert len(peer.stored) == 2

    run(scenario)


def test_newest_minute_goes_first_then_the_rest_in_order() -> None:
    async def scenario() -> None:
        spool = a_spool(6_000)
        async with peer_answering(Script()) as peer:
            settings = settings_for(peer.port, batch_lines=500)
            async with uploading(settings, spool):
                await until_uploaded(spool, settings)
            seconds = stamps(peer.stored)
            assert list(range(539, 600)) == sorted(set(seconds[:610]))
            assert sorted(seconds[610:]) == seconds[610:]
            assert len(set(peer.stored)) == len(peer.stored) == 6_000

    run(scenario)


def test_backfill_is_rate_limited_while_new_samples_pass() -> None:
    async def scenario() -> None:
        spool = a_spool(3_000)
        async with peer_answering(Script()) as peer:
            settings = settings_for(peer.port, batch_lines=200, backfill_lines_per_s=1_000.0)
            async with uploading(settings, spool) as upload:
                await until(lambda: upload.stats()["sent"] >= 1_000)
                assert upload.stats()["sent"] < 2_500
                spool.put_samples(some_samples(10, start=3_000))
                await until(lambda: 300 in stamps(peer.stored), timeout_s=1.0)
                assert upload.stats()["sent"] < 3_000

    run(scenario)


def test_backfill_keeps_to_its_share_of_the_processor_while_new_samples_pass() -> None:
    async def scenario() -> None:
        spool = a_spool(3_000)
        async with peer_answering(Script()) as peer:
            settings = settings_for(peer.port, batch_lines=200, backfill_cpu_share=1e-9)
            async with uploading(settings, spool) as upload:
                await until(lambda: upload.stats()["sent"] >= 610)
                at_rest = upload.stats()["sent"]
                spool.put_samples(some_samples(10, start=3_000))
                await until(lambda: 300 in stamps(peer.stored), timeout_s=5.0)
                assert upload.stats()["sent"] == at_rest + 10

    run(scenario)


SINK = """
import http.server
class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def a_sink() -> Iterator[int]:
    """Run a server in a process of its own, so that its work is not counted; give its port."""
    process = subprocess.Popen([sys.executable, "-c", SINK], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with process.stdout as output:
            yield int(output.readline())
    finally:
        process.kill()
        process.wait()


def test_a_backlog_is_drained_within_its_share_of_the_processor(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """All of the process counts: the uploader, the store on disk, and the test that looks on."""

    async def scenario(port: int) -> float:
        spool = SqliteStore.open(tmp_path / "w.db", conditions=Conditions(), clock=RealClock())
        spool.put_samples(some_samples(8_000))
        await spool.flush()
        async with uploading(settings_for(port, interval_s=2.0), spool) as upload:
            # After the first batch of the backlog: from there on each rests before it is sent.
            await until(lambda: upload.stats()["sent"] >= 1_610)
            begun_s, worked_s = time.monotonic(), time.process_time()
            await until(lambda: upload.stats()["sent"] == 8_000)
            share = (time.process_time() - worked_s) / (time.monotonic() - begun_s)
        await spool.close()
        return share

    with a_sink() as port:
        share = asyncio.run(scenario(port))
    record_property("fault_drain_percent", 100.0 * share)
    assert share > 0.0


def test_nothing_is_sent_while_this_machine_is_short_and_all_of_it_afterwards() -> None:
    async def scenario() -> tuple[int, int]:
        spool, asked = a_spool(), []

        def sheds() -> bool:
            asked.append(True)
            return len(asked) < 4

        async with peer_answering(Script()) as peer:
            settings = settings_for(peer.port, interval_s=0.02)
            async with uploading(settings, spool, sheds=sheds):
                await until(lambda: len(asked) == 3)
                meanwhile = len(peer.requests)
                await until_uploaded(spool, settings)
        return meanwhile, len(set(peer.stored))

    assert asyncio.run(scenario()) == (0, 20)


class CountingSpool(MemoryStore):
    """Counts how often somebody looks for new samples."""

    looks = 0

    async def newest_cursor(self) -> int:
        self.looks += 1
        return await super().newest_cursor()


def test_waiting_for_the_next_batch_is_no_work() -> None:
    """Nothing new comes while the rest waits for its turn: the live batch is overdue all the time."""

    async def scenario() -> None:
        spool = CountingSpool()
        spool.put_samples(some_samples(3_000))
        async with peer_answering(Script()) as peer:
            settings = settings_for(
                peer.port, batch_lines=200, backfill_lines_per_s=2_000.0, interval_s=0.05
            )
            async with uploading(settings, spool) as upload:
                await until(lambda: upload.stats()["sent"] == 3_000)
        assert spool.looks < 400

    run(scenario)


def test_restart_in_the_middle_of_a_batch_sends_it_again() -> None:
    async def scenario() -> None:
        spool = a_spool(50)
        # The server stores the lines and then never answers: nobody knows that it did.
        async with peer_answering(lambda _: None) as peer:
            settings = settings_for(peer.port)
            async with uploading(settings, spool):
                await until(lambda: len(peer.requests) == 1)
            peer.answer = Script()
            async with uploading(settings, spool):
                await until_uploaded(spool, settings)
            assert set(peer.requests[0].lines) == set(peer.stored)
            assert len(peer.stored) == 50

    run(scenario)


class HoleySpool(MemoryStore):
    """Retention has removed the samples up to a cursor."""

    removed = 0

    async def spooled(self, *, after: int, limit: int) -> Any:
        return await super().spooled(after=max(after, self.removed), limit=limit)


def test_samples_removed_before_they_were_sent_are_counted() -> None:
    async def scenario() -> None:
        spool = HoleySpool()
        spool.put_samples(some_samples(100))
        spool.removed = 30
        async with peer_answering(Script()) as peer:
            settings = settings_for(peer.port, batch_lines=40)
            async with uploading(settings, spool) as upload:
                await until_uploaded(spool, settings)
                await until(lambda: upload.stats()["sent"] == 70)
                assert upload.stats()["dropped"] == 30
            assert len(peer.stored) == 70

    run(scenario)


class BrokenSpool(MemoryStore):
    """Its disk fails for the first calls."""

    failures = 3

    async def newest_cursor(self) -> int:
        if self.failures:
            self.failures -= 1
            raise OSError("disk")
        return await super().newest_cursor()


def test_failing_spool_does_not_end_the_uploader() -> None:
    async def scenario() -> None:
        spool = BrokenSpool()
        spool.put_samples(some_samples(10))
        async with peer_answering(Script()) as peer, uploading(settings_for(peer.port), spool):
            await until(lambda: len(peer.stored) == 10)
            assert len(set(peer.stored)) == 10

    run(scenario)


def test_targets_have_cursors_of_their_own() -> None:
    one = InfluxSettings(url="http://h:1/", site="s", bucket="b")
    other = InfluxSettings(url="http://h:1", site="s", database="b", retention_policy="r")
    assert one.target == "http://h:1||b"
    assert other.target == "http://h:1||b/r"


class JumpingClock(RealClock):
    """The real clock, moved on by hand."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


def test_server_that_is_away_for_an_hour_is_an_alarm() -> None:
    severities: list[Severity] = []

    class Sink(Conditions):
        def begin(self, condition: Condition) -> None:
            severities.append(condition.severity)
            super().begin(condition)

    async def scenario() -> None:
        clock, sink = JumpingClock(), Sink()
        settings = settings_for(1)
        upload = InfluxUploader(settings=settings, spool=a_spool(), conditions=sink, clock=clock)
        task = asyncio.create_task(upload.run())
        await until(lambda: severities == [Severity.WARNING])
        clock.ahead_s = uploader.ALARM_AFTER_S
        await until(lambda: severities == [Severity.WARNING, Severity.ALARM])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert sink.log == ["begin INFLUX_UNREACHABLE"] * 2
        assert "nothing listens at that address and port" in sink.texts[0]
        assert not any(word in sink.texts[0] for word in ("urllib3", "Error", "HTTPConnection"))

    run(scenario)


def test_what_is_written_at_the_stop_is_sent_after_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "w.db"

    def store() -> SqliteStore:
        return SqliteStore.open(path, conditions=Conditions(), clock=RealClock())

    async def scenario() -> None:
        async with peer_answering(Script()) as peer:
            settings = settings_for(peer.port)
            first = store()
            first.put_samples(some_samples(20))
            await first.flush()
            async with uploading(settings, first):
                await until_uploaded(first, settings)
            first.put_samples(some_samples(5, start=20))
            await first.close()
            second = store()
            async with uploading(settings, second):
                await until_uploaded(second, settings)
            await second.close()
            assert len(peer.stored) == len(set(peer.stored)) == 25

    run(scenario)
