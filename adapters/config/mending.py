"""Turns what the models refuse into findings that an electrician can act on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adapters.config.keys import ONE_VALUE, PER_PHASE
from adapters.config.keytable import key_at, names_below, places_of
from adapters.config.problems import Finding, KeyPath, Spot
from adapters.config.source import Source

_SECRET: Final = re.compile(r"token|secret|passw|pwd|api_?key|credential", re.IGNORECASE)
_MEASURE: Final = re.compile(r"^([+-]?\d+(?:[.,]\d+)?)\s*([A-Za-zµΩ%/]*)$")
_UNITS: Final = {
    "_a": ("amperes", frozenset({"a", "amp", "amps", "ampere", "amperes", ""})),
    "_s": ("seconds", frozenset({"s", "sec", "secs", "second", "seconds", ""})),
    "_v": ("volts", frozenset({"v", "volt", "volts", ""})),
}
_OTHER_NAMES: Final = {
    "fuse": "limit_a",
    "fuse_a": "limit_a",
    "breaker_a": "limit_a",
    "rating_a": "limit_a",
    "current_a": "limit_a",
    "max_current": "max_a",
    "min_current": "min_a",
    "connectors": "evses",
    "fail_safe_a": "fallback_a",
    "failsafe_a": "fallback_a",
    "base_load_a": "building_peak_a",
    "address": "unit",
    "slave": "unit",
    "url": "connection",
    "type": "device",
    "tz": "timezone",
    "port": "listen",
    "file": "path",
    "organisation": "org",
    "username_env": "user_env",
}
_ABSENT_PHASE: Final = "write its rating; a phase that is not there takes the rating of the others"
_FIELD_MENDS: Final = {
    "l1": _ABSENT_PHASE,
    "l2": _ABSENT_PHASE,
    "l3": _ABSENT_PHASE,
    "voltage_v": "write the voltage between line and neutral: 230 in a 400 V grid",
    "decrease_dead_band_a": "keep it small: a decrease that is not sent is current too much",
}


def findings_of(error: ValidationError, source: Source) -> tuple[Finding, ...]:
    """Return one finding for each thing the models refuse."""
    details = error.errors(include_url=False, include_context=True)
    missing = {_path(d) for d in details if d["type"] == "missing"}
    unknown = {_path(d): _meant(_path(d), missing) for d in details if _is_unknown(d)}
    explained = {(*path[:-1], name) for path, name in unknown.items() if name}
    findings: list[Finding] = []
    for detail in details:
        path = _path(detail)
        if detail["type"] == "missing" and path in explained:
            continue
        if _is_unknown(detail):
            findings.append(_unknown_key(path, unknown[path]))
        else:
            findings.append(_refused(detail, path, source))
    return tuple(findings)


def secret_findings(source: Source) -> Iterator[Finding]:
    """Find keys that would hold a secret. Their values are never shown."""
    for path in source.keys:
        if key_at(path) is None and _holds_secret(path):
            yield Finding(
                path=path,
                text="secrets never stand in the site file",
                mend=_secret_mend(path),
                spot=Spot.KEY,
            )


def _holds_secret(path: KeyPath) -> bool:
    """Tell whether a path ends in a key, and not in an id, that sounds like a secret."""
    return bool(_SECRET.search(path[-1])) and not _is_id(path)


def _is_id(path: KeyPath) -> bool:
    return not names_below(path[:-1])


def empty_findings(source: Source) -> Iterator[Finding]:
    """Find keys without a value; an empty `parent:` must not pass as "no parent"."""
    for path, value in _walk(source.data, ()):
        key = key_at(path)
        if value is not None or not path or not (key or _is_id(path)):
            continue
        way = f"write one, like `{key.name}: {key.example}`" if key else "write its keys below it"
        yield Finding(
            path=path,
            text=f"`{path[-1]}` has no value",
            mend=f"{way}, or remove the line",
            spot=Spot.KEY,
        )


def merged(schema: Iterable[Finding], more: Iterable[Finding]) -> tuple[Finding, ...]:
    """Join findings; where `more` speaks of the same key, it speaks alone."""
    special = {finding.path: finding for finding in more}
    kept = [finding for finding in schema if finding.path not in special]
    return (*kept, *special.values())


def _walk(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, object]]:
    yield path, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _walk(inner, (*path, str(name)))


def _path(detail: ErrorDetails) -> KeyPath:
    """Return the path in the file: without the marks that the models add."""
    return tuple(str(p) for p in detail["loc"] if p not in (ONE_VALUE, PER_PHASE, "[key]"))


def _is_unknown(detail: ErrorDetails) -> bool:
    return detail["type"] == "extra_forbidden"


def _meant(path: KeyPath, missing: set[KeyPath]) -> str | None:
    """Guess the key that an unknown key stands for."""
    name = path[-1].lower().replace("-", "_").replace(" ", "_")
    allowed = names_below(path[:-1])
    if name.partition(":")[0] in allowed:
        return name.partition(":")[0]
    other = _OTHER_NAMES.get(name)
    if other in allowed:
        return other
    for suffix in ("", "_a", "_s", "_v"):
        if name + suffix in allowed:
            return name + suffix
    wanted = [p[-1] for p in missing if p[:-1] == path[:-1]]
    near = get_close_matches(name, wanted, n=1, cutoff=0.6) or get_close_matches(
        name, allowed, n=1, cutoff=0.7
    )
    return near[0] if near else None


def _unknown_key(path: KeyPath, meant: str | None) -> Finding:
    name = path[-1]
    elsewhere = places_of(name)
    if name.isdigit():
        mend = "write decimals with a point and not with a comma, like 0.5"
    elif meant and name.startswith(f"{meant}:"):
        mend = f"write a blank after the colon: `{meant}: {name.partition(':')[2] or '...'}`"
    elif name == "<<":
        mend = (
            "merge keys are not part of YAML 1.2; repeat the keys, or use an alias for a whole map"
        )
    elif meant:
        mend = f"did you mean `{meant}`?"
    elif elsewhere:
        mend = f"this key belongs under {' or '.join(e.replace('*', '<id>') for e in elsewhere)}"
    else:
        mend = f"remove it; known here are {', '.join(names_below(path[:-1]))}"
    return Finding(path=path, text=f"unknown key `{name}`", mend=mend, spot=Spot.KEY)


def _secret_mend(path: KeyPath) -> str:
    if path[0] == "stations" or path[0] == "ocpp":
        return "remove it and set the password with `wattkeeper station secret STATION_ID`"
    if path[0] == "http":
        return "remove it and make accounts with `wattkeeper user add NAME --role admin`"
    if re.search(r"passw|pwd", path[-1], re.IGNORECASE):
        return (
            "remove it, put the secret into an environment variable and name that one: "
            "`password_env: WATTKEEPER_INFLUX_PASSWORD` (v1) or `token_env: WATTKEEPER_INFLUX_TOKEN` (v2)"
        )
    return (
        "remove it, put the secret into an environment variable and name that one: "
        "`token_env: WATTKEEPER_INFLUX_TOKEN`"
    )


def _refused(detail: ErrorDetails, path: KeyPath, source: Source) -> Finding:
    kind = detail["type"]
    if kind == "misspelled":
        context = detail["ctx"]
        spot = Spot.KEY if detail["loc"][-1] == "[key]" else Spot.VALUE
        return Finding(path=path, text=str(context["text"]), mend=str(context["mend"]), spot=spot)
    if kind == "missing":
        key = key_at(path)
        meaning = f" ({_first_sentence(key.description)})" if key else ""
        example = key.example if key else "..."
        return Finding(
            path=path,
            text=f"`{path[-1]}` is missing",
            mend=f"add `{path[-1]}: {example}`{meaning}",
        )
    text, mend = _EXPLAIN.get(kind, _unforeseen)(detail, path, source)
    return Finding(path=path, text=text, mend=mend)


_Explanation = tuple[str, str]


def _number(detail: ErrorDetails, path: KeyPath, source: Source) -> _Explanation:
    name = path[-1]
    spelled = source.spelled.get(path)
    if spelled is None:
        return f"{_kind_of(detail['input'])} stands where a number is expected", _number_form(path)
    text = f"{_quoted(spelled)} is not a number"
    if isinstance(detail["input"], bool) or spelled in ("true", "false"):
        return text, _number_form(path)
    match = _MEASURE.match(spelled.strip())
    if not match:
        return text, _number_form(path)
    number, unit = match[1].replace(",", "."), match[2].lower()
    word, own = _unit_of(name)
    if not unit:
        said = "a point and not a comma" if "," in spelled else "no quotes"
        return text, f"write the number with {said}: `{name}: {number}`"
    if unit in own:
        return text, f"write a number without a unit: `{name}: {number}`"
    if unit == "ma" and word == "amperes":
        return text, f"write amperes without a unit: `{name}: {float(number) / 1000:g}`"
    if not word:
        return text, f"write a number without a unit: `{name}: {number}`"
    return text, f"write it in {word}, as a number without a unit"


def _number_form(path: KeyPath) -> str:
    key = key_at(path)
    word, _ = _unit_of(path[-1])
    unit = f" in {word}, without a unit" if word else ""
    example = f": `{key.name}: {key.example}`" if key and key.example != "None" else ""
    return f"write a number{unit}{example}"


def _whole_number(detail: ErrorDetails, path: KeyPath, source: Source) -> _Explanation:
    spelled = source.spelled.get(path)
    if isinstance(detail["input"], float):
        return f"{spelled} is no whole number", f"write a whole number: `{path[-1]}: 1`"
    return _number(detail, path, source)


def _bound(detail: ErrorDetails, path: KeyPath, source: Source) -> _Explanation:
    context: Mapping[str, Any] = detail["ctx"]
    spelled = source.spelled.get(path, "the value")
    sign, value = next((s, context[s]) for s in ("gt", "ge", "lt", "le") if s in context)
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    word, _ = _unit_of(path[-1])
    text = f"{spelled} is out of range: it must be {words[sign]} {value:g}"
    if path[-1] in _FIELD_MENDS:
        return text, _FIELD_MENDS[path[-1]]
    if sign in ("le", "lt") and word in _SMALLER:
        return text, f"write {word}, not {_SMALLER[word]}, and at most {value:g}"
    return text, f"write {words[sign]} {value:g}{f' {word}' if word else ''}"


_SMALLER: Final = {"amperes": "milliamperes", "seconds": "milliseconds"}


def _not_finite(_: ErrorDetails, path: KeyPath, source: Source) -> _Explanation:
    spelled = source.spelled.get(path, "the value")
    return (
        f"{spelled} is not a finite number",
        "write the real rating; nothing here is without a limit",
    )


def _choice(detail: ErrorDetails, path: KeyPath, source: Source) -> _Explanation:
    allowed = [word.strip("' ") for word in re.split(r",| or ", str(detail["ctx"]["expected"]))]
    spelled = source.spelled.get(path)
    shown = _quoted(spelled) if spelled is not None else _kind_of(detail["input"])
    near = get_close_matches((spelled or "").lower(), allowed, n=1, cutoff=0.7)
    if spelled in allowed:
        return f"{shown} stands in quotes", f"write it without quotes: `{path[-1]}: {spelled}`"
    if near:
        return f"{shown} is not one of {', '.join(allowed)}", f"did you mean `{near[0]}`?"
    return f"{shown} is not one of {', '.join(allowed)}", f"write {' or '.join(allowed)}"


def _text(detail: ErrorDetails, path: KeyPath, source: Source) -> _Explanation:
    spelled = source.spelled.get(path)
    if spelled is None:
        key = key_at(path)
        example = f": `{key.name}: {key.example}`" if key else ""
        return f"{_kind_of(detail['input'])} stands where a text is expected", f"write one{example}"
    if path[-1].endswith("_env"):
        return "this is not the name of an environment variable", "write its NAME"
    return f"{spelled} is not a text", f'put it in quotes: `{path[-1]}: "{spelled}"`'


def _truth(_: ErrorDetails, path: KeyPath, source: Source) -> _Explanation:
    shown = _quoted(source.spelled.get(path, "the value"))
    return f"{shown} is neither true nor false", "write true or false, without quotes"


def _map(detail: ErrorDetails, path: KeyPath, _: Source) -> _Explanation:
    key = key_at(path)
    names = names_below(path)
    inside = f"the keys {', '.join(names[:4])}" if names else "the ids and their keys"
    example = f", like `{key.name}: {key.example}`" if key and key.required else ""
    if isinstance(detail["input"], list):
        return "a list stands where a map is expected", f"write `id: value` without dashes{example}"
    text = f"{_kind_of(detail['input'])} stands where a map is expected"
    return text, f"write {inside} below it, indented{example}"


def _too_short(_: ErrorDetails, path: KeyPath, __: Source) -> _Explanation:
    key = key_at(path)
    return (
        f"`{path[-1]}` is empty",
        f"write at least one: `{path[-1]}: {key.example if key else '...'}`",
    )


def _too_long(detail: ErrorDetails, path: KeyPath, _: Source) -> _Explanation:
    return f"`{path[-1]}` is too long", f"write at most {detail['ctx']['max_length']} characters"


def _unforeseen(detail: ErrorDetails, path: KeyPath, _: Source) -> _Explanation:
    return detail["msg"], f"see `{path[-1] if path else 'format'}` in docs/site-file.md"


_EXPLAIN: Final[Mapping[str, Callable[[ErrorDetails, KeyPath, Source], _Explanation]]] = {
    "float_type": _number,
    "float_parsing": _number,
    "int_type": _whole_number,
    "int_parsing": _whole_number,
    "int_from_float": _whole_number,
    "int_parsing_size": _number,
    "finite_number": _not_finite,
    "greater_than": _bound,
    "greater_than_equal": _bound,
    "less_than": _bound,
    "less_than_equal": _bound,
    "literal_error": _choice,
    "string_type": _text,
    "bool_type": _truth,
    "model_type": _map,
    "dict_type": _map,
    "too_short": _too_short,
    "string_too_short": _too_short,
    "string_too_long": _too_long,
}


def _unit_of(name: str) -> tuple[str, frozenset[str]]:
    if name in ("l1", "l2", "l3"):
        return _UNITS["_a"]
    return next(
        (unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), ("", frozenset())
    )


def _kind_of(value: object) -> str:
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else _quoted(str(value))


def _quoted(spelled: str) -> str:
    return f"`{spelled}`" if len(spelled) <= 60 else f"`{spelled[:57]}...`"


def _first_sentence(text: str) -> str:
    return re.split(r"[.;]\s|\. \[|\.$", text)[0]
