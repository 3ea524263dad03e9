from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.influx.line import NotExpressibleError, format_line
from controller.records import Sample

AT = datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)
AT_MS = 1_767_225_600_250


def a_line(**changes: Any) -> str:
    values = {"measurement": "grid", "tags": {}, "fields": {"p": 1.5}, "at": AT, **changes}
    return format_line(Sample(**values), "x")


def test_line_has_sorted_tags_typed_fields_and_milliseconds() -> None:
    line = a_line(
        tags={"meter": "main", "a": "b"},
        fields={"p": 1.5, "quality": 1, "text": "on", "f": 50},
    )
    assert line == f'grid,a=b,meter=main,site=x p=1.5,quality=1i,text="on",f=50.0 {AT_MS}'


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"measurement": "a b,c"}, "a\\ b\\,c,site=x p=1.5"),
        ({"tags": {"k =": "v,1 ="}}, "grid,k\\ \\==v\\,1\\ \\=,site=x p=1.5"),
        ({"tags": {"k": "C:\\"}}, "grid,k=C:/,site=x p=1.5"),
        ({"tags": {"k": "a\nb", "empty": ""}}, "grid,k=a\\ b,site=x p=1.5"),
        ({"fields": {"t": 'say "hi" \\ \n'}}, 'grid,site=x t="say \\"hi\\" \\\\  "'),
        ({"fields": {"p": float("nan"), "e": 2}}, "grid,site=x e=2.0"),
        ({"tags": {"site": "y"}}, "grid,site=x p=1.5"),
    ],
)
def test_special_characters_are_escaped(changes: dict[str, Any], expected: str) -> None:
    assert f"{expected} {AT_MS}" == a_line(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"measurement": ""},
        {"measurement": "#grid"},
        {"fields": {}},
        {"fields": {"p": float("inf")}},
        {"fields": {"n": 2**63}},
        {"tags": {"k": "\ud800"}},
    ],
)
def test_what_no_server_takes_is_not_expressible(changes: dict[str, Any]) -> None:
    with pytest.raises(NotExpressibleError):
        a_line(**changes)


@given(
    measurement=st.text(min_size=1),
    tags=st.dictionaries(st.text(), st.text()),
    fields=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.floats())),
)
def test_any_sample_is_one_line_or_not_expressible(
    measurement: str, tags: dict[str, str], fields: dict[str, Any]
) -> None:
    try:
        line = a_line(measurement=measurement, tags=tags, fields=fields)
    except NotExpressibleError:
        return
    assert not any(ord(character) < 32 for character in line)
    assert line.endswith(f" {AT_MS}")
    assert ",site=" in line
