"""The committed build belongs to the committed sources; texts are complete; colours can be read."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from tests.web.sources import source_hash

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
PAGE = ROOT / "adapters" / "http" / "page"
TEXTS = {p.stem: json.loads(p.read_text()) for p in (WEB / "src" / "i18n").glob("*.json")}
TOKENS = (WEB / "src" / "styles" / "tokens.css").read_text()
PLACEHOLDER = re.compile(r"\{\w+\}")
KEY = re.compile(r'(?<![\w.])(?:t|plural|named)\(\s*"([\w.]+)"')


def test_the_committed_build_was_made_from_the_committed_sources() -> None:
    assert source_hash(WEB) == (PAGE / "source.sha256").read_text().strip(), "run scripts/web"


def test_scripts_stay_below_500_kb_compressed() -> None:
    scripts = [gzip.compress(p.read_bytes(), 9) for p in (PAGE / "assets").glob("*.js")]

    assert scripts
    assert sum(map(len, scripts)) < 500_000


def test_the_page_holds_no_script_or_style_in_line_and_names_no_other_host() -> None:
    page = (PAGE / "index.html").read_text()

    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)


def test_lock_file_names_no_addresses() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"].values()

    assert [p for p in packages if "resolved" in p] == []
    assert all("integrity" in p for p in packages if p.get("dev"))


@pytest.mark.parametrize("language", ["sv", "de"])
def test_catalogues_have_the_same_keys_and_placeholders(language: str) -> None:
    english, other = TEXTS["en"], TEXTS[language]

    assert set(english) == set(other)
    for key, text in english.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(other[key])), key
        assert other[key].strip(), key


def test_every_text_that_is_named_exists() -> None:
    named = {
        key
        for path in (WEB / "src").rglob("*")
        if path.suffix in {".ts", ".svelte"}
        for key in KEY.findall(path.read_text())
    }

    complete = set(TEXTS["en"])
    prefixes = {k.rpartition(".")[0] for k in complete} | {"audit.code", "reason.short"}
    assert set() == {k for k in named if k not in complete and k not in prefixes}


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _tokens(theme: str) -> dict[str, str]:
    light, dark = TOKENS.split(':root[data-theme="dark"]')
    base = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    return base | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark)) if theme == "dark" else base


TEXT_PAIRS = [
    *[(ink, ground) for ink in ("ink", "dim", "accent") for ground in ("paper", "card", "sunk")],
    *[
        (sign, ground)
        for sign in ("good", "warn", "bad")
        for ground in ("card", "paper", f"{sign}-ground")
    ],
    *[("ink", f"{sign}-ground") for sign in ("good", "warn", "bad", "accent")],
    *[("dim", ground) for ground in ("warn-ground", "bad-ground")],
    ("accent", "accent-ground"),
    ("accent-ink", "accent"),
    ("card", "bad"),
    ("rail-ink", "rail"),
    ("rail-dim", "rail"),
    ("rail-ink", "rail-on"),
]
GRAPHIC_PAIRS = [
    *[(mark, "card") for mark in ("l1", "l2", "l3", "chargers", "line-strong", "lamp-bad")],
    ("chargers", "sunk"),
    ("accent", "card"),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_keep_the_contrast_of_wcag_aa(theme: str) -> None:
    colour = _tokens(theme)
    low = {
        f"{a} on {b}: {_contrast(colour[a], colour[b]):.2f}"
        for pairs, least in ((TEXT_PAIRS, 4.5), (GRAPHIC_PAIRS, 3.0))
        for a, b in pairs
        if _contrast(colour[a], colour[b]) < least
    }

    assert set() == low
