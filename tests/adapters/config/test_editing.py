"""A site file changed from plain values: what people wrote around them stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.config.editing import dumped, edited
from adapters.config.source import parse

FILE = Path("site.yaml")
TEXT = """\
# Depot Nord, electrician: Berg, tel. 0123
format: site/1     # do not change
site: {id: depot-nord, name: "Depot Nord", timezone: Europe/Stockholm}
circuits:
  main: {limit_a: 250, device: mccb}   # the fuse in the yard
  # second garage, since 2024
  garage-a: {parent: main, limit_a: 125.0}
stations:
  0123:
    circuit: garage-a
    evses:
      1: {max_a: 32, holds_lease: true}
"""


def content(text: str) -> Any:
    return parse(text, FILE).data


def test_what_is_not_changed_comes_out_as_it_went_in() -> None:
    assert edited(TEXT, content(TEXT), FILE) == TEXT.replace("   # the", "   # the")


def test_a_changed_value_leaves_its_neighbours_and_comments() -> None:
    data = content(TEXT)
    data["circuits"]["garage-a"]["limit_a"] = 100

    lines = edited(TEXT, data, FILE).splitlines()

    assert lines == TEXT.replace("125.0", "100").splitlines()


def test_ids_keep_their_spelling_and_things_come_and_go() -> None:
    data = content(TEXT)
    data["stations"]["CP9"] = {"circuit": "main", "evses": {"1": {"max_a": 16.0}}}
    del data["stations"]["0123"]["evses"]["1"]["holds_lease"]

    text = edited(TEXT, data, FILE)

    assert content(text) == data
    assert "  0123:\n" in text
    assert "      1: {max_a: 16}\n" in text
    assert "# second garage, since 2024" in text


@pytest.mark.parametrize(
    "value", ["12", "true", "null", "", "a: b", "# no comment", "22:00", "0x1F", "1e3", "- x", "é"]
)
def test_texts_that_look_like_something_else_stay_texts(value: str) -> None:
    data = content(TEXT)
    data["site"]["name"] = value

    assert content(edited(TEXT, data, FILE))["site"]["name"] == value


def test_shared_parts_are_written_out_when_an_edit_would_change_both() -> None:
    text = "a: &x {one: 1}\nb: *x\n"

    result = edited(text, {"a": {"one": 2}, "b": {"one": 1}}, FILE)

    assert content(result) == {"a": {"one": 2}, "b": {"one": 1}}


SCALARS = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12),
)
KEYS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
CONTENT = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)
        ),
        max_leaves=8,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(before=CONTENT, after=CONTENT)
def test_whatever_is_wanted_is_what_is_written(before: Any, after: Any) -> None:
    text = edited(dumped(before), after, FILE)

    assert content(text) == after
