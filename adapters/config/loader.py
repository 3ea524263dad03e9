"""Loads a site file: text, keys, rules, certificate; every problem at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from adapters.config import domain
from adapters.config.draft import draft_of
from adapters.config.keys import SiteDocument
from adapters.config.mending import empty_findings, findings_of, merged, secret_findings
from adapters.config.problems import Finding, Problem, Remark, SiteFileError, Spot
from adapters.config.proof import shortfall_findings
from adapters.config.remarks import notes_on
from adapters.config.roaming import to_billing
from adapters.config.rules import broken_rules
from adapters.config.settings import (
    HttpSettings,
    InfluxSettings,
    OcppSettings,
    StoreSettings,
    UploadSettings,
)
from adapters.config.source import Source, parse, read_text
from controller.billing import Billing
from controller.certificate import Certificate, certify
from controller.desired import DesiredConfiguration
from controller.planner import PlanningSettings
from controller.policy import Policy
from controller.site import Site, StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFile:
    """A site file that is valid and whose certificate holds."""

    file: Path
    text: str
    """As it was read; what versions and comparisons of the configuration keep."""
    document: SiteDocument
    site: Site
    policy: Policy
    planning: PlanningSettings
    ocpp: OcppSettings
    desired: Mapping[StationId, DesiredConfiguration]
    """What each station is to keep; stations with nothing to keep are left out."""
    groups: Mapping[str, tuple[StationId, ...]]
    """Stations of each group, in order of their ids."""
    uploads: UploadSettings | None
    """None: off."""
    http: HttpSettings
    store: StoreSettings
    influx: InfluxSettings | None
    """None: nothing is uploaded."""
    billing: Billing | None
    """None: nothing is priced."""
    certificate: Certificate
    remarks: tuple[Remark, ...]


def load_site_file(
    path: Path,
    *,
    known_models: Set[str] | None = None,
    known_loads: Mapping[str, bool] | None = None,
) -> SiteFile:
    """Read and check a site file.

    Args:
        path: The file. Relative paths in it start at its folder.
        known_models: Meter models of the catalogue. None: models are not checked.
        known_loads: Models of loads, and whether they have a watchdog. None: not checked.

    Raises:
        SiteFileError: With every problem of the file; problems of syntax stand alone.
    """
    return load_site_text(read_text(path), path, known_models=known_models, known_loads=known_loads)


def load_site_text(
    text: str,
    path: Path,
    *,
    known_models: Set[str] | None = None,
    known_loads: Mapping[str, bool] | None = None,
) -> SiteFile:
    """Check the text of a site file, for example one that was sent to the API.

    Args:
        text: YAML 1.2.
        path: What problems name, and where relative paths start.
        known_models: Meter models of the catalogue. None: models are not checked.
        known_loads: Models of loads, and whether they have a watchdog. None: not checked.

    Raises:
        SiteFileError: With every problem of the text; problems of syntax stand alone.
    """
    source = parse(text, path)
    document = _document(source, known_models, known_loads)
    site = domain.to_site(document)
    certificate = certify(site)
    if not certificate.holds:
        problems = _problems(shortfall_findings(certificate, site), source)
        raise SiteFileError(problems, certificate=certificate)
    return SiteFile(
        file=path,
        text=text,
        document=document,
        site=site,
        policy=domain.to_policy(document.policy),
        planning=domain.to_planning(document),
        ocpp=domain.to_ocpp(document, path.parent),
        desired=domain.to_desired(document),
        groups=domain.to_groups(document),
        uploads=domain.to_uploads(document.uploads, path.parent),
        http=domain.to_http(document, path.parent),
        store=domain.to_store(document, path.parent),
        influx=domain.to_influx(document.influx),
        billing=to_billing(document.billing),
        certificate=certificate,
        remarks=_remarks(document, site, source),
    )


def _document(
    source: Source, known_models: Set[str] | None, known_loads: Mapping[str, bool] | None
) -> SiteDocument:
    """Return the document when neither its keys nor its rules leave a problem."""
    refused: tuple[Finding, ...] = ()
    document: SiteDocument | None = None
    try:
        document = SiteDocument.model_validate(source.data)
    except ValidationError as error:
        refused = findings_of(error, source)
    refused = merged(refused, (*empty_findings(source), *secret_findings(source)))
    findings = (*refused, *broken_rules(draft_of(source.data), known_models, known_loads))
    problems = (*source.duplicates, *_problems(findings, source))
    if problems or document is None:
        raise SiteFileError(problems)
    return document


def _problems(findings: Iterable[Finding], source: Source) -> tuple[Problem, ...]:
    """Give each finding its line. What aliases repeat is said once."""
    unique: dict[tuple[int, int, str], Problem] = {}
    for finding in findings:
        by_key = finding.spot is Spot.KEY
        place = source.key_place(finding.path) if by_key else source.value_place(finding.path)
        unique.setdefault(
            (place.line, place.column, finding.text),
            Problem(
                file=source.file,
                line=place.line,
                column=place.column,
                path=".".join(finding.path),
                text=finding.text,
                mend=finding.mend,
            ),
        )
    return tuple(unique.values())


def _remarks(document: SiteDocument, site: Site, source: Source) -> tuple[Remark, ...]:
    return tuple(
        Remark(
            file=source.file,
            line=source.value_place(path).line,
            path=".".join(path),
            text=text,
        )
        for path, text in notes_on(document, site)
    )
