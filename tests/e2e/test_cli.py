"""The real command: exit codes, key texts, and a quiet end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.e2e.rig import ROOT, Rig, SiteOptions, free_port

COMMAND = (sys.executable, "-m", "adapters.cli.main")


def wattkeeper(*arguments: str, cwd: Path = ROOT, **environment: str) -> Any:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(folder=tmp_path, options=SiteOptions(chargers=1))
    rig.write_site()
    return rig


@contextmanager
def a_demo(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    process = subprocess.Popen(
        [*COMMAND, "demo", "--chargers", "2", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def first_lines(out: IO[str]) -> list[str]:
    """Read up to the line that says how to stop."""
    lines = []
    for line in out:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_ends_quietly_with_a_summary(number: int) -> None:
    with a_demo() as (process, out):
        assert "Wattkeeper demo: 2 chargers" in first_lines(out)[0]
        out.readline()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors == ""
    assert "Stopped after" in rest


def test_two_demos_run_at_once() -> None:
    with a_demo() as (_, one), a_demo() as (_, two):
        pages = [next(x for x in first_lines(out) if "page" in x) for out in (one, two)]
    assert pages[0] != pages[1]


def test_a_demo_whose_port_is_taken_names_the_option() -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        result = wattkeeper("demo", "--chargers", "2", "--http", str(port))
    assert result.returncode == 1
    assert (
        f"127.0.0.1:{port} is in use. Choose another port with --http, or leave it out.\n"
        == result.stderr
    )


def test_accounts_tokens_and_secrets(rig: Rig) -> None:
    site = ("--site", str(rig.site_file))
    added = wattkeeper("user", "add", "anna", "--role", "admin", *site)
    token = wattkeeper("user", "token", "anna", *site)
    secret = wattkeeper("station", "secret", "CP001", *site)
    assert [r.returncode for r in (added, token, secret)] == [0, 0, 0]
    assert token.stdout.startswith("wk_")
    assert 16 <= len(secret.stdout.strip()) <= 40


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("user", "add", "anna", "--role", "king"), "There is no role king."),
        (("user", "token", "bob"), "There is no account bob."),
        (("station", "secret", "CP9"), "has no station CP9. It has CP001."),
        (("station", "secret", "CP001", "--from-env", "NOT_SET_1"), "NOT_SET_1 is not set"),
    ],
)
def test_bad_usage_is_two(rig: Rig, arguments: tuple[str, ...], text: str) -> None:
    result = wattkeeper(*arguments, "--site", str(rig.site_file))
    assert result.returncode == 2
    assert text in result.stderr


def test_the_site_comes_from_the_environment_or_the_folder(rig: Rig, tmp_path: Path) -> None:
    period = ("sessions", "export", "--from", "2026-01-01", "--to", "2026-02-01")
    here = wattkeeper(*period, cwd=tmp_path)
    named = wattkeeper(*period, WATTKEEPER_SITE=str(rig.site_file))
    assert [here.returncode, named.returncode] == [0, 0]
    assert here.stdout == named.stdout
    assert here.stdout.startswith("station,evse,session_id")


def test_check_prints_the_certificate(rig: Rig) -> None:
    result = wattkeeper("check", str(rig.site_file))
    assert result.returncode == 0
    assert "The certificate holds." in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("tcp://127.0.0.1:1", "--model", "eastron/sdm630"), 1, "no connection to 127.0.0.1:1"),
        (("nonsense", "--model", "eastron/sdm630"), 2, "is not tcp://HOST:PORT"),
        (("tcp://127.0.0.1:1", "--model", "a/b"), 2, "a/b is unknown"),
    ],
)
def test_a_meter_that_cannot_be_read(arguments: tuple[str, ...], code: int, text: str) -> None:
    result = wattkeeper("meter", "read", *arguments)
    assert code == result.returncode
    assert text in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["run", "check", "demo", "meter", "sessions", "user"])
def test_every_command_has_help(command: str) -> None:
    assert wattkeeper(command, "--help").returncode == 0
