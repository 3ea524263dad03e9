"""From the site file to the settings of each adapter."""

from __future__ import annotations

import os

from adapters.bootstrap import RunSettings
from adapters.config.loader import SiteFile
from adapters.config.settings import InfluxApi, OcppTls, UnknownTokens
from adapters.config.settings import UploadSettings as FileUploadSettings
from adapters.config.spelling import parse_listen
from adapters.gridguard import GuardSettings
from adapters.gridrelay import RelaySettings
from adapters.http.settings import HttpSettings
from adapters.influx.settings import InfluxSettings
from adapters.modbus.contact import ContactPlace
from adapters.mqtt.settings import MqttSettings
from adapters.notifysettings import notify_settings
from adapters.ocpi.settings import ConnectorSettings, OcpiSettings, PlaceSettings
from adapters.ocpp.settings import KeyPair, Listener, OcppSettings, TlsFiles
from adapters.pki.authority import Authority
from adapters.republish.server import RepublishSettings
from adapters.station_services import UploadRun
from adapters.store.limits import StoreLimits
from adapters.uploads.settings import UploadSettings
from adapters.upstream.settings import UpstreamSettings
from controller.site import CircuitId

CA_PASSPHRASE = "WATTKEEPER_CA_PASSPHRASE"  # noqa: S105 - the name of a variable


def run_settings(file: SiteFile) -> RunSettings:
    """Return what the controller is started with."""
    return RunSettings(
        file=file,
        site=file.site,
        policy=file.policy,
        planning=file.planning,
        ocpp=OcppSettings(
            host=file.ocpp.listen.host,
            port=file.ocpp.listen.port,
            security_profile=file.ocpp.security_profile,
            also=tuple(
                Listener(
                    host=entry.listen.host,
                    port=entry.listen.port,
                    security_profile=entry.security_profile,
                )
                for entry in file.ocpp.listeners
            ),
            tls=_tls(file.ocpp.tls),
        ),
        offline_tokens=file.ocpp.offline_tokens,
        uploads=_uploads(file.uploads),
        authority=Authority(file.ocpp.tls.folder, passphrase=passphrase()),
        http=HttpSettings(
            host=file.http.listen.host,
            port=file.http.listen.port,
            tls=file.http.tls,
            interval_s=file.policy.interval_s,
        ),
        notify=notify_settings(file),
        store_path=file.store.path,
        store_limits=StoreLimits(
            samples_age_s=file.store.samples_age_s, samples_bytes=file.store.samples_bytes
        ),
        influx=_influx(file),
        mqtt=_mqtt(file),
        republish=_republish(file),
        grid=_grid(file),
        relays=_relays(file),
        accept_unknown_tokens=file.ocpp.unknown_tokens is UnknownTokens.ACCEPT,
        ocpi=ocpi_settings(file),
        upstream=_upstream(file),
    )


def ocpi_settings(file: SiteFile) -> OcpiSettings | None:
    """Return what the roaming server is started with; None: no roaming."""
    section = file.document.ocpi
    if section is None or file.billing is None:
        return None
    listen = parse_listen(section.listen)
    return OcpiSettings(
        host=listen.host,
        port=listen.port,
        url=section.url.rstrip("/"),
        country_code=section.country_code,
        party_id=section.party_id,
        operator=section.operator,
        website=section.website,
        place=PlaceSettings(
            name=file.site.name,
            address=section.address,
            city=section.city,
            postal_code=section.postal_code,
            country=section.country,
            latitude=section.latitude,
            longitude=section.longitude,
            timezone=file.site.timezone,
            is_published=section.publish,
        ),
        tariff=file.billing.standard,
        connector=ConnectorSettings(
            standard=section.connector_standard, format=section.connector_format
        ),
        allow_private_partners=section.allow_private_partners,
    )


def _uploads(uploads: FileUploadSettings | None) -> UploadRun | None:
    if uploads is None:
        return None
    return UploadRun(
        settings=UploadSettings(
            host=uploads.listen.host,
            port=uploads.listen.port,
            folder=uploads.folder,
            public_host=uploads.host,
            max_bytes=uploads.max_bytes,
            keep_s=uploads.keep_s,
        ),
        with_tls=uploads.tls,
    )


def passphrase() -> bytes | None:
    """Return the passphrase of the own authority's keys; None: they have none."""
    given = os.environ.get(CA_PASSPHRASE)
    return given.encode() if given else None


def _tls(tls: OcppTls) -> TlsFiles | None:
    """Return the certificates of the file, else those of the own authority; None: there are none."""
    authority = Authority(tls.folder)
    pairs = tuple(KeyPair(certificate=c, key=k) for c, k in tls.certificates) or tuple(
        KeyPair(certificate=issued.certificate, key=issued.key) for issued in authority.server()
    )
    if not pairs:
        return None
    own_ca = authority.bundle if authority.exists else None
    trusts_own = tls.client_ca is None and own_ca is not None
    organisation = tls.organisation or (authority.organisation() if trusts_own else None)
    return TlsFiles(
        pairs=pairs,
        client_ca=tls.client_ca or own_ca,
        organisation=organisation,
        rsa_key_exchange=tls.rsa_key_exchange,
    )


def _upstream(file: SiteFile) -> UpstreamSettings | None:
    section = file.document.upstream
    if section is None:
        return None
    authority = section.authority_file
    return UpstreamSettings(
        url=section.url,
        password_env=section.password_env,
        authority_file=file.file.parent / authority if authority is not None else None,
    )


def _mqtt(file: SiteFile) -> MqttSettings | None:
    section = file.document.mqtt
    if section is None:
        return None
    return MqttSettings(
        url=section.url,
        site=file.site.id,
        name=file.site.name,
        username=section.username,
        password_env=section.password_env,
        prefix=section.prefix,
        discovery=section.discovery,
        interval_s=section.interval_s,
    )


def _republish(file: SiteFile) -> RepublishSettings | None:
    section = file.document.republish
    if section is None:
        return None
    listen = parse_listen(section.listen)
    return RepublishSettings(host=listen.host, port=listen.port, clients=section.clients)


def _grid(file: SiteFile) -> GuardSettings | None:
    section = file.document.grid_signal
    if section is None:
        return None
    return GuardSettings(
        circuit=CircuitId(section.circuit),
        failsafe_w=section.failsafe_w,
        failsafe_s=section.failsafe_s,
        heartbeat_s=section.heartbeat_s,
    )


def _relays(file: SiteFile) -> tuple[tuple[RelaySettings, ContactPlace], ...]:
    return tuple(
        (
            RelaySettings(
                id=name,
                circuit=CircuitId(entry.circuit),
                limit_w=entry.limit_w,
                is_closed_at_rest=entry.at_rest == "closed",
                lost_after_s=entry.lost_after_s,
            ),
            ContactPlace(
                connection=entry.connection,
                unit=entry.unit,
                is_coil=entry.table == "coil",
                address=entry.input,
            ),
        )
        for name, entry in file.document.grid_relays.items()
    )


def _influx(file: SiteFile) -> InfluxSettings | None:
    influx = file.influx
    if influx is None:
        return None
    return InfluxSettings(
        url=influx.url,
        site=file.site.id,
        bucket=influx.bucket,
        org=influx.org or "",
        token_env=influx.token_env,
        database=influx.database,
        is_version_3=influx.api is InfluxApi.V3,
        retention_policy=influx.retention_policy,
        username=os.environ.get(influx.user_env) if influx.user_env is not None else None,
        password_env=influx.password_env,
        gzip=influx.gzip,
    )
