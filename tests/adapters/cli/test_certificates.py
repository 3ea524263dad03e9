"""`wattkeeper ca` and the commands around stations' certificates, on a real site file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner, Result

from adapters.cli.main import app
from adapters.cli.settings import run_settings
from adapters.config.loader import load_site_file

SITE = """format: site/1
site: {id: yard, name: Yard, timezone: UTC}
circuits: {main: {limit_a: 63}}
stations:
  CP001: {circuit: main, evses: {1: {max_a: 16}}}
ocpp:
  listen: "127.0.0.1:9000"
  security_profile: 2
  listeners: {strict: {listen: "127.0.0.1:9001", security_profile: 3}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def wattkeeper(site: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--site", str(site)])


def test_an_authority_makes_a_site_ready_for_tls(site: Path) -> None:
    made = wattkeeper(site, "ca", "init", "--host", "127.0.0.1")
    settings = run_settings(load_site_file(site))

    assert made.exit_code == 0, made.output
    assert "SHA-256 fingerprint" in made.output
    assert settings.ocpp.tls is not None
    assert len(settings.ocpp.tls.pairs) == 2
    assert settings.ocpp.tls.organisation == "Yard"
    assert [li.security_profile for li in settings.ocpp.listeners] == [2, 3]
    assert stat.S_IMODE((site.parent / "var/pki").stat().st_mode) == 0o700


def test_a_second_authority_is_refused(site: Path) -> None:
    wattkeeper(site, "ca", "init", "--host", "127.0.0.1")
    again = wattkeeper(site, "ca", "init")

    assert again.exit_code == 1
    assert "already" in again.output


def test_a_station_gets_a_certificate_and_an_unknown_one_does_not(site: Path) -> None:
    wattkeeper(site, "ca", "init", "--host", "127.0.0.1")
    issued = wattkeeper(site, "ca", "issue", "CP001")
    unknown = wattkeeper(site, "ca", "issue", "CP999")
    leaf = x509.load_pem_x509_certificate((site.parent / "var/pki/stations/CP001.pem").read_bytes())

    assert issued.exit_code == 0
    assert leaf.subject.rfc4514_string() == "CN=CP001,O=Yard"
    assert unknown.exit_code == 2
    assert "It has CP001" in unknown.output


def test_without_an_authority_the_first_step_is_named(site: Path) -> None:
    issued = wattkeeper(site, "ca", "issue", "CP001")

    assert issued.exit_code == 1
    assert "wattkeeper ca init" in issued.output


def test_renewal_makes_new_certificates_for_the_same_hosts(site: Path) -> None:
    wattkeeper(site, "ca", "init", "--host", "192.0.2.7")
    path = site.parent / "var/pki/server-rsa.pem"
    before = path.read_bytes()
    renewed = wattkeeper(site, "ca", "renew")
    names = x509.load_pem_x509_certificate(path.read_bytes()).extensions

    assert renewed.exit_code == 0
    assert path.read_bytes() != before
    san = names.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(n.value) for n in san] == ["192.0.2.7"]


def test_names_are_bound_and_certificates_revoked(site: Path) -> None:
    bound = wattkeeper(site, "station", "certificate", "CP001", "--bind", "SN-1", "--revoke")
    shown = wattkeeper(site, "station", "certificate", "CP001")

    assert bound.exit_code == 0
    assert "CP001 or SN-1" in shown.output
    assert "are refused" in shown.output


def test_a_lower_profile_is_allowed_by_command(site: Path) -> None:
    allowed = wattkeeper(site, "station", "profile", "CP001", "1")

    assert allowed.exit_code == 0
    assert "security profile 1 and above" in allowed.output
