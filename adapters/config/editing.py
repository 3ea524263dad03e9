"""Changes a site file from plain values and keeps what people wrote around them: order and comments.

Every scalar is read as the text that stands in the file, so that an id `0123`, a time `22:00` or a
number `6.0` that nobody changed comes out as it went in.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tag import Tag

from adapters.config.source import parse

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./]([A-Za-z0-9 _./+()-]*[A-Za-z0-9_./+()])?")
"""Texts that need no quotes in any place, unless they look like a number or a word of YAML."""
_ONE_VALUE: Final = Path("value")
_TEXT: Final = "tag:yaml.org,2002:str"


class _AsWritten(VersionedResolver):
    """Takes every plain scalar for text."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Return the tag of a node."""
        if kind is ScalarNode and implicit[0]:
            return Tag(suffix=_TEXT)
        return super().resolve(kind, value, implicit)


def edited(text: str, data: Mapping[str, Any], file: Path) -> str:
    """Return a site file's text with the content of `data`.

    Args:
        text: The present text.
        data: The whole new content: what is absent in it is removed.
        file: What problems of the present text name.

    Raises:
        SiteFileError: The present text is no YAML.
    """
    before = parse(text, file).data
    yaml = _yaml()
    document = yaml.load(text)
    if not isinstance(document, CommentedMap) or not isinstance(before, Mapping):
        return dumped(data)
    _edit_map(document, before, data)
    result = _written(yaml, document)
    # Aliases and merged maps can be shared in ways that an edit at one place does not show.
    return result if _is_equal(parse(result, file).data, data) else dumped(data)


def dumped(data: Mapping[str, Any]) -> str:
    """Return content as a new text, without comments."""
    return _written(_yaml(), _node(data))


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Resolver = _AsWritten
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _written(yaml: YAML, document: Any) -> str:
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def _edit_map(node: CommentedMap, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for key in [k for k in node if str(k) not in after]:
        del node[key]
    spelled = {str(k): k for k in node}
    for name, value in after.items():
        if name not in spelled:
            node[_key(name)] = _node(value)
            continue
        key, old = spelled[name], before.get(name)
        inner = node[key]
        if isinstance(inner, CommentedMap) and isinstance(value, Mapping) and isinstance(old, dict):
            _edit_map(inner, old, value)
        elif not _is_equal(old, value):
            node[key] = _node(value, flow=_is_flow(inner))


def _is_equal(old: Any, new: Any) -> bool:
    """Compare values as YAML tells them apart: 1 is 1.0, but neither is true nor "1"."""
    if isinstance(old, bool) or isinstance(new, bool):
        return old is new
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(_is_equal(old[k], new[k]) for k in old)
    if isinstance(old, list) and isinstance(new, Sequence) and not isinstance(new, str):
        return len(old) == len(new) and all(map(_is_equal, old, new))
    return (type(old) in (int, float) and type(new) in (int, float) and old == new) or (
        type(old) is type(new) and bool(old == new)
    )


def _is_flow(node: Any) -> bool:
    return isinstance(node, CommentedMap | CommentedSeq) and bool(node.fa.flow_style())


def _node(value: Any, *, flow: bool = False) -> Any:
    if isinstance(value, Mapping):
        made = CommentedMap({_key(k): _node(v) for k, v in value.items()})
        if flow or all(not isinstance(v, Mapping | list) for v in value.values()):
            made.fa.set_flow_style()
        return made
    if isinstance(value, list | tuple):
        items = CommentedSeq([_node(v) for v in value])
        if flow or all(not isinstance(v, Mapping | list) for v in value):
            items.fa.set_flow_style()
        return items
    return _scalar(value)


def _scalar(value: Any) -> Any:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _number(value)
        case _:
            return _quoted(str(value))


def _number(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _key(name: str) -> str:
    # Keys keep their spelling whatever they look like: the reader never converts them.
    return name


def _quoted(text: str) -> Any:
    """Quote a text that would not come back as the same text."""
    if not _PLAIN.fullmatch(text):
        return DoubleQuotedScalarString(text)
    data = parse(f"a: {text}", _ONE_VALUE).data
    is_same = isinstance(data, dict) and _is_equal(data.get("a"), text)
    return text if is_same else DoubleQuotedScalarString(text)
