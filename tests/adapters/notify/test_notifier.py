"""Alarms reach people: signed, grouped, at night only when they must, and again after a failure."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

import adapters.notify.notifier as notifying
from adapters.notify.delivery import DeliveryError, deliver, is_forbidden
from adapters.notify.messages import Message
from adapters.notify.notifier import Notifier
from adapters.notify.settings import Email, NotifySettings, Webhook
from controller.alarms import AlarmBook
from controller.decision import Alarm, Condition, Severity
from tests.adapters.notify.receivers import Hook, Mailbox
from tests.fakes.certificates import a_certificate

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECRET = "a shared key"


class Clock:
    def __init__(self) -> None:
        self.at = NOON

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return self.at


def an_alarm(
    code: str = "METER_LOST",
    severity: Severity = Severity.ALARM,
    *,
    end: datetime | None = None,
) -> Alarm:
    condition = Condition(code=code, subject="main", text="No answer.", severity=severity)
    return Alarm(condition=condition, begin=NOON, end=end)


def stale(*, end: datetime | None = None) -> Alarm:
    return an_alarm("STALE", Severity.WARNING, end=end)


def a_hook(url: str, *, least: Severity = Severity.WARNING, secret: bool = False) -> Webhook:
    return Webhook(name="ops", url=url, secret_env="HOOK_KEY" if secret else None, least=least)


class Bench:
    """A notifier, what it reports, and its clock."""

    def __init__(self, settings: NotifySettings) -> None:
        self.book = AlarmBook()
        self.clock = Clock()
        self.notifier = Notifier(settings, conditions=self.book, clock=self.clock)

    def reported(self) -> set[str]:
        self.book.update((), NOON)
        return {a.condition.code for a in self.book.active()}

    async def reports(self, *codes: str) -> None:
        async with asyncio.timeout(5):
            while self.reported() != set(codes):  # noqa: ASYNC110 - alarms have no event
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(settings: NotifySettings) -> AsyncIterator[Bench]:
    bench = Bench(settings)
    task = asyncio.create_task(bench.notifier.run())
    await asyncio.sleep(0)
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def with_hook(scenario: Callable[[Hook, NotifySettings], Awaitable[None]]) -> None:
    async def run() -> None:
        hook = await Hook().start()
        try:
            targets = (a_hook(hook.url),)
            await scenario(hook, NotifySettings(site="Depot", targets=targets, group_s=0.05))
        finally:
            await hook.stop()

    asyncio.run(run())


def codes(body: dict[str, list[dict[str, str]]]) -> list[str]:
    return [a["code"] for a in body["alarms"]]


def test_an_alarm_is_told_with_its_begin_and_its_end() -> None:
    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        async with running(settings) as bench:
            bench.notifier.post([an_alarm()])
            await hook.received(1)
            bench.notifier.post([an_alarm(end=NOON + timedelta(minutes=3))])
            await hook.received(2)
        first, second = hook.bodies
        assert first["summary"] == "[Depot] alarm: METER_LOST main"
        assert first["alarms"][0]["end"] is None
        assert second["alarms"][0]["end"] == "2026-03-02T12:03:00.000Z"
        assert second["summary"] == "[Depot] over: METER_LOST main"

    with_hook(scenario)


def test_a_message_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", SECRET)

    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        targets = (a_hook(hook.url, secret=True),)
        async with running(replace(settings, targets=targets)) as bench:
            assert await bench.notifier.test("ops") == ""
        headers, body = hook.got[0]
        stamp = str(int(NOON.timestamp()))
        expected = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
        assert headers["x-wattkeeper-signature"] == f"t={stamp},v1={expected.hexdigest()}"

    with_hook(scenario)


def test_without_its_key_nothing_is_sent_unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK_KEY", raising=False)

    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        targets = (a_hook(hook.url, secret=True),)
        async with running(replace(settings, targets=targets)) as bench:
            assert "HOOK_KEY" in await bench.notifier.test("ops")
        assert hook.got == []

    with_hook(scenario)


def test_a_failed_delivery_is_shown_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "FIRST_RETRY_S", 0.2)

    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        hook.answers = [500, 302]
        async with running(settings) as bench:
            bench.notifier.post([an_alarm()])
            await bench.reports("NOTIFICATION_UNDELIVERED")
            await hook.received(3)
            await bench.reports()
        assert len({body["id"] for body in hook.bodies}) == 1

    with_hook(scenario)


def test_what_comes_together_is_one_message_and_what_came_and_went_is_told_once() -> None:
    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        async with running(settings) as bench:
            bench.notifier.post([an_alarm(), stale()])
            bench.notifier.post([stale(end=NOON)])
            await hook.received(1)
        (body,) = hook.bodies
        assert codes(body) == ["METER_LOST", "STALE"]
        assert [a["end"] is None for a in body["alarms"]] == [True, False]

    with_hook(scenario)


def test_what_is_critical_does_not_wait_for_company() -> None:
    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        async with running(replace(settings, group_s=3600)) as bench:
            bench.notifier.post([stale()])
            bench.notifier.post([an_alarm("OVERLOAD", Severity.CRITICAL)])
            await hook.received(1)
        assert hook.bodies[0]["severity"] == "critical"

    with_hook(scenario)


def test_at_night_warnings_wait_and_alarms_do_not() -> None:
    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        async with running(replace(settings, quiet=(time(11), time(13)))) as bench:
            bench.notifier.post([stale(), an_alarm()])
            await hook.received(1)
            assert codes(hook.bodies[0]) == ["METER_LOST"]
            bench.clock.at = NOON + timedelta(hours=1)
            await hook.received(2)
            assert codes(hook.bodies[1]) == ["STALE"]

    with_hook(scenario)


@pytest.mark.parametrize(
    ("quiet", "zone", "expected"),
    [
        ((time(22), time(6)), "UTC", False),
        ((time(22), time(6)), "Asia/Tokyo", False),
        ((time(20), time(22)), "Asia/Tokyo", True),
        ((time(21), time(6)), "Asia/Tokyo", True),
        (None, "UTC", False),
    ],
)
def test_quiet_times_are_those_of_the_site(
    quiet: tuple[time, time] | None, zone: str, expected: bool
) -> None:
    settings = NotifySettings(site="Depot", timezone=zone, quiet=quiet)

    assert settings.is_quiet(NOON) is expected


def test_a_target_hears_only_of_what_it_asked_for() -> None:
    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        targets = (a_hook(hook.url, least=Severity.ALARM),)
        async with running(replace(settings, targets=targets)) as bench:
            bench.notifier.post([stale()])
            bench.notifier.post([an_alarm()])
            await hook.received(1)
        assert codes(hook.bodies[0]) == ["METER_LOST"]

    with_hook(scenario)


def test_its_own_failure_is_not_told_of() -> None:
    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        async with running(settings) as bench:
            bench.notifier.post([an_alarm("NOTIFICATION_UNDELIVERED", Severity.WARNING)])
            bench.notifier.post([an_alarm()])
            await hook.received(1)
        assert codes(hook.bodies[0]) == ["METER_LOST"]

    with_hook(scenario)


def test_others_are_told_after_a_change_of_the_settings() -> None:
    async def scenario(hook: Hook, settings: NotifySettings) -> None:
        async with running(replace(settings, targets=())) as bench:
            bench.notifier.configure(settings)
            bench.notifier.post([an_alarm()])
            await hook.received(1)
            assert [t.name for t in bench.notifier.targets()] == ["ops"]

    with_hook(scenario)


def test_what_waits_is_bounded() -> None:
    settings = NotifySettings(site="Depot", targets=(a_hook("http://127.0.0.1:1/"),), group_s=0)

    async def scenario() -> None:
        bench = Bench(settings)
        for number in range(notifying.CAPACITY + 50):
            bench.notifier.post([an_alarm(f"C{number}", Severity.CRITICAL)])
        assert bench.notifier.targets()[0].waiting == notifying.CAPACITY

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("fe80::1", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("0.0.0.0", True),  # noqa: S104 - looked at, not bound to
        ("224.0.0.1", True),
        ("192.168.1.20", False),
        ("10.0.0.9", False),
        ("127.0.0.1", False),
        ("93.184.216.34", False),
    ],
)
def test_the_surroundings_of_the_machine_are_no_receiver(address: str, expected: bool) -> None:
    assert is_forbidden(ip_address(address)) is expected


def a_message() -> Message:
    return Message(id="1", at=NOON, alarms=(an_alarm(),))


def test_a_metadata_address_is_refused_before_anything_is_sent() -> None:
    settings = NotifySettings(site="Depot")

    with pytest.raises(DeliveryError, match=r"169\.254\.169\.254") as refused:
        asyncio.run(deliver(a_hook("http://169.254.169.254/latest"), a_message(), settings))
    assert "name another one" in str(refused.value)


def an_email(port: int, security: str, *, user: str | None = None) -> Email:
    return Email(
        name="janitor",
        to=("janitor@example.org",),
        sender="wattkeeper@example.org",
        host="localhost" if user else "127.0.0.1",
        port=port,
        security=security,
        user=user,
        password_env="MAIL_PASSWORD" if user else None,
        least=Severity.WARNING,
    )


def test_a_mail_says_what_happened_by_the_clock_of_the_site() -> None:
    async def scenario() -> None:
        box = await Mailbox().start()
        settings = NotifySettings(site="Depot", timezone="Europe/Stockholm")
        await deliver(an_email(box.port, "none"), a_message(), settings)
        await box.stop()
        (mail,) = box.mails
        assert "Subject: [Depot] alarm: METER_LOST main" in mail
        assert "2026-03-02 13:00:00" in mail
        assert "To: janitor@example.org" in mail

    asyncio.run(scenario())


def test_without_tls_no_mail_is_sent_in_clear() -> None:
    async def scenario() -> None:
        box = await Mailbox().start()
        mail = an_email(box.port, "starttls")
        with pytest.raises(DeliveryError):
            await deliver(mail, a_message(), NotifySettings(site="Depot"))
        await box.stop()
        assert box.mails == []

    asyncio.run(scenario())


def a_server_context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    certificate, key = a_certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context, certificate


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_goes_encrypted_through_a_server_that_wants_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    context, certificate = a_server_context(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("MAIL_PASSWORD", "mail password")

    async def scenario() -> None:
        box = await Mailbox(tls=context).start(at_once=security == "tls")
        target = an_email(box.port, security, user="wattkeeper")
        await deliver(target, a_message(), NotifySettings(site="Depot"))
        await box.stop()
        (mail,) = box.mails
        assert "METER_LOST" in mail
        assert box.signed_in == ["\0wattkeeper\0mail password"]
        assert box.in_clear == (["EHLO", "STARTTLS"] if security == "starttls" else [])

    asyncio.run(scenario())


def test_a_mail_server_that_nobody_vouches_for_gets_neither_password_nor_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, _ = a_server_context(tmp_path)
    monkeypatch.setenv("MAIL_PASSWORD", "mail password")

    async def scenario() -> None:
        box = await Mailbox(tls=context).start()
        target = an_email(box.port, "starttls", user="wattkeeper")
        with pytest.raises(DeliveryError, match="SSLCertVerificationError"):
            await deliver(target, a_message(), NotifySettings(site="Depot"))
        await box.stop()
        assert (box.mails, box.signed_in) == ([], [])

    asyncio.run(scenario())
