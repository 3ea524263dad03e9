"""The text of a site file: YAML 1.2 to plain values, every key and value with its place.

The nodes are converted here and not by the YAML library's constructor, because ids must keep their
spelling (station `0123` is not 123), every duplicate key must be found and not only the first, and
no type mark may ever build an object.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from adapters.config.problems import KeyPath, Problem, SiteFileError

_MOST_BYTES: Final = 1_000_000
_MOST_VALUES: Final = 100_000
_TAG: Final = "tag:yaml.org,2002:"
_KNOWN_TAGS: Final = frozenset(
    _TAG + kind
    for kind in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge")
)
_OTHER_VERSION: Final = re.compile(r"^%YAML[ \t]+(?!1\.2\b)", re.MULTILINE)
_TAB_INDENT: Final = re.compile(r"[ ]*\t[ \t]*[^ \t\r#]")


class Place(NamedTuple):
    """A line and a column, both from 1."""

    line: int
    column: int


_TOP: Final = Place(1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A parsed file and where everything in it stands."""

    file: Path
    data: object
    """Nested dicts, lists and scalars; keys as they are spelled."""
    keys: Mapping[KeyPath, Place]
    values: Mapping[KeyPath, Place]
    spelled: Mapping[KeyPath, str]
    """How each scalar is written in the file, without its quotes."""
    duplicates: tuple[Problem, ...]
    """Keys that stand twice and type marks; the rest of the file can be checked all the same."""

    def key_place(self, path: KeyPath) -> Place:
        """Return where a key stands, or the nearest key above it."""
        return next((self.keys[p] for p in _upwards(path) if p in self.keys), _TOP)

    def value_place(self, path: KeyPath) -> Place:
        """Return where a value stands, or the nearest key above it."""
        return self.values.get(path) or self.key_place(path)


def read_text(file: Path) -> str:
    """Read a site file.

    Raises:
        SiteFileError: It is missing, unreadable, too large or not UTF-8.
    """
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise _refusal(file, 1, "there is no such file", "check the name and the folder") from None
    except IsADirectoryError:
        raise _refusal(file, 1, "this is a folder", "give the name of the file in it") from None
    except PermissionError:
        raise _refusal(
            file,
            1,
            "the file may not be read",
            "allow this user to read it, for example with chmod",
        ) from None
    except (OSError, ValueError) as error:
        raise _refusal(file, 1, f"the file cannot be read ({error})", "check the disk") from None
    if len(raw) > _MOST_BYTES:
        raise _refusal(file, 1, "larger than 1 MB, no site file", "give the site file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _refusal(
            file, line, "the text is not UTF-8", "save the file with the encoding UTF-8"
        ) from None


def parse(text: str, file: Path) -> Source:
    """Parse YAML 1.2 and remember places.

    Raises:
        SiteFileError: The text is no YAML, or empty, or no map.
    """
    _refuse_early(text, file)
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        reader = _Reader(file)
        data = reader.convert(node, ()) if isinstance(node, MappingNode) else None
    except RecursionError:
        raise _refusal(
            file, 1, "nested too deeply", "indent as in the example of docs/site-file.md"
        ) from None
    except MarkedYAMLError as error:
        raise SiteFileError([_syntax_problem(error, text, file)]) from None
    except ReaderError as error:
        raise SiteFileError([_character_problem(error, text, file)]) from None
    except (YAMLError, ValueError, LookupError, AttributeError, TypeError, AssertionError) as error:
        # The scanner has bugs of its own on hostile text; to the reader of the file it is all the same.
        raise _refusal(
            file, 1, f"this is not YAML ({type(error).__name__})", "start from config/examples/"
        ) from None
    if data is None:
        raise SiteFileError([_not_a_map(node, file)])
    return Source(
        file=file,
        data=data,
        keys=reader.keys,
        values=reader.values,
        spelled=reader.spelled,
        duplicates=tuple(reader.problems),
    )


class _Reader:
    """Converts nodes and collects what there is to know about them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.keys: dict[KeyPath, Place] = {}
        self.values: dict[KeyPath, Place] = {}
        self.spelled: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self._open: set[int] = set()

    def convert(self, node: Node, path: KeyPath) -> object:
        """Return the plain value of a node.

        Raises:
            SiteFileError: Aliases make it endless or huge.
        """
        place = self.values[path] = _place(node)
        if id(node) in self._open:
            raise _refusal(self.file, place.line, "an alias contains itself", "write it out")
        if len(self.values) > _MOST_VALUES:
            raise _refusal(self.file, place.line, "more than 100000 values", "use fewer aliases")
        self._check_tag(node, path)
        self._open.add(id(node))
        try:
            return self._plain(node, path)
        finally:
            self._open.discard(id(node))

    def _plain(self, node: Node, path: KeyPath) -> object:
        if isinstance(node, MappingNode):
            return self._map(node, path)
        if isinstance(node, SequenceNode):
            return [self.convert(item, (*path, str(i))) for i, item in enumerate(node.value)]
        self.spelled[path] = str(node.value)
        return _scalar(node)

    def _map(self, node: MappingNode, path: KeyPath) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._report(_place(key), path, "a list or a map stands as a key", "write a word")
                continue
            name = str(key.value)
            at = (*path, name)
            if name in result:
                first = self.keys[at].line
                self._report(
                    _place(key),
                    at,
                    f"`{name}` stands twice, first on line {first}",
                    "remove one of the two, or give it its own name",
                )
                continue
            self.keys[at] = _place(key)
            result[name] = self.convert(value, at)
        return result

    def _check_tag(self, node: Node, path: KeyPath) -> None:
        if str(node.tag) not in _KNOWN_TAGS:
            self._report(
                _place(node), path, f"the type mark `{node.tag}` means nothing here", "remove it"
            )

    def _report(self, place: Place, path: KeyPath, text: str, mend: str) -> None:
        self.problems.append(
            Problem(
                file=self.file,
                line=place.line,
                column=place.column,
                path=".".join(path),
                text=text,
                mend=mend,
            )
        )


def _scalar(node: Node) -> object:
    """Return the value of a scalar by YAML 1.2; what cannot be converted stays text."""
    text = str(node.value)
    kind = str(node.tag).removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    try:
        if kind == "int":
            return (
                int(text, 0) if text.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else int(text)
            )
        if kind == "float":
            return _float(text)
    except ValueError:
        return text
    return text


def _float(text: str) -> float:
    unsigned = text.lstrip("+-").lower()
    if unsigned == ".nan":
        return math.nan
    if unsigned == ".inf":
        return -math.inf if text.startswith("-") else math.inf
    return float(text)


def _refuse_early(text: str, file: Path) -> None:
    """Refuse what the YAML scanner would report in words that help nobody."""
    lines = enumerate(text.split("\n"), start=1)
    tabs = [number for number, line in lines if _TAB_INDENT.match(line)]
    if tabs:
        raise SiteFileError(
            Problem(
                file=file,
                line=line,
                column=None,
                path="",
                text="the line is indented with a tab",
                mend="use blanks; YAML allows no tabs there",
            )
            for line in tabs
        )
    version = _OTHER_VERSION.search(text)
    if version:
        line = text.count("\n", 0, version.start()) + 1
        raise _refusal(file, line, "another YAML version is asked for", "remove the %YAML line")


def _syntax_problem(error: MarkedYAMLError, text: str, file: Path) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = str(error.problem or error.context or "cannot be understood")
    line = mark.line + 1 if mark else 1
    last = max(1, text.count("\n") + (not text.endswith("\n")))
    return Problem(
        file=file,
        line=min(line, last),
        column=mark.column + 1 if mark and line <= last else None,
        path="",
        text=f"this is not YAML: {' '.join(what.split())}",
        mend=_syntax_mend(what, error),
    )


def _syntax_mend(what: str, error: MarkedYAMLError) -> str:
    opened = f" opened on line {error.context_mark.line + 1}" if error.context_mark else ""
    mends = {
        "mapping values are not allowed": "check the indentation here and one line above; "
        "put texts that contain a colon in quotes",
        "quoted scalar": "close the quotes",
        "'}'": f"close the bracket {{{opened}, or add the comma between two keys",
        "']'": f"close the bracket [{opened}, or add the comma between two entries",
        "cannot start any token": "put the text in quotes",
        "undefined alias": "define it with & further up, or write the value out",
        "another document": "remove the second ---; one file is one site",
        "could not find expected ':'": "write `key: value`, with a colon and a blank",
        "block end": "indent keys that belong together by the same number of blanks",
    }
    context = f"{error.context or ''} {what}"
    return next((mend for sign, mend in mends.items() if sign in context), _LOOK)


_LOOK: Final = "compare with the example in docs/site-file.md"


def _character_problem(error: ReaderError, text: str, file: Path) -> Problem:
    position = error.position if isinstance(error.position, int) else 0
    return Problem(
        file=file,
        line=text.count("\n", 0, position) + 1,
        column=None,
        path="",
        text="a control character stands in the text",
        mend="delete the invisible character, or type the line again",
    )


def _not_a_map(node: Node | None, file: Path) -> Problem:
    place = _TOP if node is None else _place(node)
    return Problem(
        file=file,
        line=place.line,
        column=None,
        path="",
        text="the file is empty" if node is None else "the file is no map of keys",
        mend="start from one of the files in config/examples/",
    )


def _refusal(file: Path, line: int, text: str, mend: str) -> SiteFileError:
    return SiteFileError(
        [Problem(file=file, line=line, column=None, path="", text=text, mend=mend)]
    )


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _upwards(path: KeyPath) -> list[KeyPath]:
    return [path[:length] for length in range(len(path), 0, -1)]
