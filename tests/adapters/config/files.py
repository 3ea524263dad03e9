"""Site files for tests: a good one, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

from adapters.config.loader import SiteFile, load_site_text
from adapters.config.problems import Problem, SiteFileError

EXAMPLES = Path(__file__).resolve().parents[3] / "config" / "examples"

GOOD = """\
format: site/1
site: {id: yard, name: Yard, timezone: Europe/Oslo}
meters:
  main: {model: eastron/sdm630, connection: "tcp://127.0.0.1:5020"}
circuits:
  main: {limit_a: 63, meter: main, building_peak_a: 30}
  hall: {parent: main, limit_a: 40}
stations:
  CP1:
    circuit: hall
    evses:
      1: {max_a: 32}
      2: {max_a: 16, phases: 1, rotation: L2}
policy: {interval_s: 2}
ocpp: {listen: "127.0.0.1:9000"}
http: {listen: "127.0.0.1:8080"}
influx: {url: "http://127.0.0.1:8086", org: o, bucket: b, token_env: TOKEN}
"""


def spoiled(before: str, after: str) -> str:
    """Replace the one place in the good file."""
    assert GOOD.count(before) == 1, before
    return GOOD.replace(before, after)


def load(text: str, *, known_models: frozenset[str] | None = None) -> SiteFile:
    return load_site_text(text, Path("site.yaml"), known_models=known_models)


def problems_of(text: str, *, known_models: frozenset[str] | None = None) -> tuple[Problem, ...]:
    """Return the problems of a text; none when it is accepted."""
    try:
        load(text, known_models=known_models)
    except SiteFileError as error:
        return error.problems
    return ()
