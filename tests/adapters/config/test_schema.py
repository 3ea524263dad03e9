"""The schema for editors and the reference for people say what the loader does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from adapters.config import schema
from adapters.config.keytable import KEYS, Key
from adapters.config.loader import load_site_text
from tests.adapters.config.files import EXAMPLES, GOOD, spoiled

REPOSITORY = Path(__file__).resolve().parents[3]
REFERENCE = (REPOSITORY / "docs" / "site-file.md").read_text(encoding="utf-8")
LEAVES = [key for key in KEYS.values() if not any(k[:-1] == key.path for k in KEYS)]


def as_editors_see_it(text: str) -> object:
    """Return what a YAML editor validates: JSON, where every key is a text."""
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text)))


def test_the_committed_schema_is_the_generated_one() -> None:
    """Write it again with `python -m adapters.config.schema`."""
    assert schema.SCHEMA_FILE.read_text(encoding="utf-8") == schema.schema_text()


def test_the_module_writes_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "schema" / "site.schema.json"
    monkeypatch.setattr(schema, "SCHEMA_FILE", target)

    schema.main()

    assert json.loads(target.read_text(encoding="utf-8")) == schema.site_schema()


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_examples_follow_the_schema(file: Path) -> None:
    validator = jsonschema_rs.Draft202012Validator(schema.site_schema())

    assert validator.is_valid(as_editors_see_it(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("limit_a: 40", "limit_a: 40A"),
        ("limit_a: 40", "limt_a: 40"),
        ("limit_a: 40", "limit_a: -1"),
        ("limit_a: 40", "limit_a: {l1: 1, l2: 1}"),
        ("parent: main", "parent: "),
        ("id: yard", "id: my yard"),
        ("  CP1:", "  CP 1:"),
        ("      1: {max", "      x: {max"),
        ("format: site/1", "format: site/2"),
        ('9000"}', '9000", security_profile: 4}'),
        ("token_env: TOKEN", "token: abc"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(before: str, after: str) -> None:
    validator = jsonschema_rs.Draft202012Validator(schema.site_schema())

    assert not validator.is_valid(as_editors_see_it(spoiled(before, after)))
    assert validator.is_valid(as_editors_see_it(GOOD))


def test_every_key_has_a_description_and_ids_a_pattern() -> None:
    written = schema.site_schema()

    objects = [written, *written["$defs"].values()]
    for properties in (item["properties"] for item in objects):
        assert all("description" in p or "$ref" in p for p in properties.values()), properties
    assert all("description" in item for item in objects)
    assert written["properties"]["stations"]["additionalProperties"] is False


@pytest.mark.parametrize("key", LEAVES, ids=lambda key: ".".join(key.path))
def test_the_reference_has_a_row_for_every_key(key: Key) -> None:
    row = rf"^\| \[?`{re.escape(key.name)}`.*$"
    section = section_of(key.path[0] if len(key.path) > 1 else "top")

    rows = re.findall(row, section, re.MULTILINE)

    assert rows, f"no row for {'.'.join(key.path)}"
    if len(key.path) > 1 and key.default is not None:
        assert any(f"`{shown(key.default)}`" in r for r in rows), (key.default, rows)
    if key.required:
        assert any("required" in r for r in rows)


def shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def section_of(name: str) -> str:
    """Return the part of the reference below the heading of a section."""
    start = REFERENCE.index(f"\n## `{name}`\n" if name != "top" else "\n## The file\n")
    end = REFERENCE.find("\n## ", start + 1)
    return REFERENCE[start : end if end > 0 else None]


def test_the_example_in_the_reference_loads() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)
    whole = [block for block in blocks if block.startswith("format:")]

    assert whole
    for block in whole:
        assert load_site_text(block, Path("site.yaml")).certificate.holds


def test_the_steps_of_the_first_site_load() -> None:
    guide = (REPOSITORY / "docs" / "how-to" / "first-site.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(format:.*?)```", guide, re.DOTALL)

    assert blocks
    for block in blocks:
        assert load_site_text(block, Path("site.yaml")).certificate.holds
