"""Tokens in spreadsheets: what is written comes back, and what was destroyed is named by its line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.records import TokenKind, TokenRecord, TokenStatus
from controller.site import StationId
from controller.token_table import TableError, tokens_from_csv, tokens_to_csv
from controller.transaction import IdToken

FULL = TokenRecord(
    id=IdToken("04A1B2C3"),
    status=TokenStatus.BLOCKED,
    label='Van, 7; the "old" one',
    group=IdToken("FLEET"),
    expires_at=datetime(2027, 1, 31, 18, tzinfo=UTC),
    priority=-2,
    kind=TokenKind.ISO15693,
    max_a=13.5,
    stations=(StationId("CP001"), StationId("CP002")),
    concurrent=1,
)

plain = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x2FF), max_size=30).filter(
    lambda t: t.isprintable() and t == t.strip() and not t.startswith("'")
)
ids = plain.filter(lambda t: bool(t) and "E+" not in t.upper())


@given(
    st.lists(
        st.builds(TokenRecord, id=ids.map(IdToken), label=plain, priority=st.integers(-9, 9)),
        unique_by=lambda r: r.id.casefold(),
    )
)
def test_what_is_written_comes_back(records: list[TokenRecord]) -> None:
    assert tokens_from_csv(tokens_to_csv(records)) == tuple(records)


def test_every_column_comes_back() -> None:
    assert tokens_from_csv(tokens_to_csv([FULL])) == (FULL,)


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@SUM(A1)", "=HYPERLINK(0)"])
def test_no_cell_is_a_formula_and_it_comes_back_as_it_was(label: str) -> None:
    text = tokens_to_csv([TokenRecord(id=IdToken("04"), label=label)])

    assert f",'{label}," in text
    assert tokens_from_csv(text)[0].label == label


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffid,label\r\n04AA,Van 7\r\n",
        "id;label\n04AA;Van 7\n\n",
        "label\tid\nVan 7\t04AA\n",
        "ID, Label \n04AA, Van 7 \n;\n".replace(";", ","),
    ],
)
def test_what_spreadsheets_make_of_it_is_understood(text: str) -> None:
    assert tokens_from_csv(text) == (TokenRecord(id=IdToken("04AA"), label="Van 7"),)


@pytest.mark.parametrize(
    ("text", "line", "words", "mend"),
    [
        ("", 1, "empty", "id,status"),
        ("name\nx\n", 1, "no column 'name'", "only id"),
        ("label\nx\n", 1, "no column id", "begin"),
        ("id,id\n1,2\n", 1, "twice", "remove"),
        ("id,label\n,x\n", 2, "no id", "number"),
        ("id\n1.23E+15\n", 2, "rounded", "as text"),
        ("id\n4,1E+11\n".replace("id", "id;label"), 2, "rounded", "as text"),
        ("id\n" + "x" * 37 + "\n", 2, "no token", "36"),
        ("id\n01\n02\n01\n", 4, "line 2 already", "remove one"),
        ("id,status\n01,maybe\n", 2, "'maybe'", "accepted"),
        ("id,expires_at\n01,31.12.2027\n", 2, "no time", "2027-01-31"),
        ("id,priority\n01,high\n", 2, "priority", "whole number"),
        ("id,max_a\n01,5\n", 2, "max_a", "from 6"),
        ("id,max_a\n01,nan\n", 2, "max_a", "from 6"),
        ("id,concurrent\n01,0\n", 2, "concurrent", "from 1"),
        ("id,kind\n01,rfid\n", 2, "kind", "ISO14443"),
        ("id,label\n01,a,b\n", 2, "3 cells", '"..."'),
    ],
)
def test_a_bad_line_is_named_with_its_mend(text: str, line: int, words: str, mend: str) -> None:
    with pytest.raises(TableError) as refused:
        tokens_from_csv(text)

    (problem,) = refused.value.problems
    assert problem.line == line
    assert words in problem.text
    assert mend in problem.mend


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(TableError) as refused:
        tokens_from_csv("id,max_a\n01,1\n02,16\n03,x\n")

    assert [p.line for p in refused.value.problems] == [2, 4]


def test_what_is_no_table_is_refused_with_its_line() -> None:
    with pytest.raises(TableError) as refused:
        tokens_from_csv("id\n" + "A" * 200_000)

    assert refused.value.problems[0].line == 2


@pytest.mark.parametrize("text", ["id\r0", 'id,label\n04AA,"open', "\r\r,\r0"])
def test_odd_line_ends_meet_no_defect(text: str) -> None:
    try:
        found = len(tokens_from_csv(text))
    except TableError as error:
        found = -len(error.problems)

    assert found != 0
