"""String formats as patterns; used by schema.py.

Each pattern matches only what the format's definition allows (RFC 3339, RFC 4122, RFC 5321 and
so on). Those for generating leave out rare forms, so that a value passes every checker; a schema
that is read to the letter has all of them.
"""

from __future__ import annotations

from .formats_rfc import rfc_patterns

_YEAR = r"(?:000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
# Years that have a 29th of February: divisible by 4, centuries by 400 only.
_LEAP = (
    r"(?:(?:0[48]|[2468][048]|[13579][26])00"
    r"|\d\d(?:0[48]|[2468][048]|[13579][26]))"
)
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    rf"|{_LEAP}-02-29)"
)
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
_ZONE = r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,18}[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL})(?:\.{_LABEL}){{0,4}}"
# A last part that begins with a digit would be read as an IPv4 address.
_URI_HOST = rf"(?:{_LABEL}\.){{0,4}}[A-Za-z](?:[A-Za-z0-9-]{{0,18}}[A-Za-z0-9])?"
# Without the characters that have a meaning of their own: what a pattern in JSON needs least.
_NAME = r"[A-Za-z0-9_-]{1,24}"
_PATH = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,48}"

# A colon in the first part of a path would end a scheme.
_PATH_REFERENCE = r"[A-Za-z0-9._~!$&'()*+,;=@/-]{0,48}"

# Two slashes at the beginning would make what follows a host.
_RELATIVE = rf"(?:[A-Za-z0-9._~!$&'()*+,;=@-]{_PATH_REFERENCE})?"

# Regular expressions with groups in groups; classes hold ranges that are in order.
_ONE = (
    r"(?:[A-Za-z0-9_ :;,/@#%&=<>~\"'!`-]|\.|\\[dDwWsS.\\/^$*+?()\[\]{}|\"'-]"
    r"|\[\^?(?:a-z|A-Z|0-9|[A-Za-z0-9_ .,:;/@#%=+*?()$\"'|]|\\[dDwWsS.\\/\[\]\"'-])+-?\])"
)
_TIMES = r"(?:(?:[*+?]|\{\d\}|\{\d,\}|\{[0-4],(?:[5-9]|[1-9]\d)\})\??)?"
_FLAT = rf"(?:{_ONE}{_TIMES}|[|^$])*"
_GROUPED = rf"(?:{_ONE}{_TIMES}|\((?:\?:)?{_FLAT}\){_TIMES}|[|^$])*"
_REGEX = rf"(?:{_ONE}{_TIMES}|\((?:\?:)?{_GROUPED}\){_TIMES}|[|^$])*"

_GROUP = "[0-9a-fA-F]{1,4}"
# Whole, or with `::` in place of one group or more; never with an IPv4 address inside.
_IPV6 = "|".join(
    [
        f"{_GROUP}(?::{_GROUP}){{7}}",
        f"(?:{_GROUP}:){{1,7}}:",
        *(f"(?:{_GROUP}:){{1,{7 - after}}}(?::{_GROUP}){{{after}}}" for after in range(1, 7)),
        f":(?::{_GROUP}){{1,7}}",
        "::",
    ]
)

_PATTERNS: dict[str, str] = {
    "date": _DATE,
    "time": _CLOCK + _ZONE,
    "date-time": f"{_DATE}T{_CLOCK}{_ZONE}",
    "duration": r"P(?:\d{1,4}D(?:T\d{1,2}H(?:\d{1,2}M(?:\d{1,2}S)?)?)?|T\d{1,4}[HMS]|\d{1,4}W)",
    "uuid": r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "ipv4": rf"{_OCTET}(?:\.{_OCTET}){{3}}",
    "ipv6": _IPV6,
    "hostname": _HOST,
    "email": rf"[A-Za-z0-9_+-]{{1,32}}(?:\.[A-Za-z0-9_+-]{{1,16}}){{0,3}}@{_LABEL}"
    rf"(?:\.{_LABEL}){{0,3}}\.[A-Za-z]{{2,12}}",
    "byte": r"(?:[A-Za-z0-9+/]{4})*",
    "base64": r"(?:[A-Za-z0-9+/]{4})*",
    "base64url": r"(?:[A-Za-z0-9_-]{4})*",
    "uri": rf"https?://{_URI_HOST}(?::[1-9]\d{{0,3}})?(?:/{_PATH})?(?:\?{_PATH})?(?:#{_PATH})?",
}
_PATTERNS |= {
    "iri": _PATTERNS["uri"],
    "uri-reference": rf"(?:{_PATTERNS['uri']}|/?{_RELATIVE}(?:\?{_PATH})?(?:#{_PATH})?)",
    "uri-template": rf"(?:https?://{_URI_HOST})?/?{_PATH_REFERENCE}(?:\{{{_NAME}\}}{_PATH_REFERENCE}){{0,4}}",
    "idn-email": _PATTERNS["email"],
    "idn-hostname": _PATTERNS["hostname"],
    "json-pointer": rf"(?:/{_NAME}){{0,8}}",
    "relative-json-pointer": rf"(?:0|[1-9]\d{{0,3}})(?:#|(?:/{_NAME}){{0,8}})",
    "regex": _REGEX,
}
_PATTERNS["iri-reference"] = _PATTERNS["uri-reference"]

# What OpenAPI and others have names for; to the letter they say nothing.
_NOT_JSON_SCHEMA = frozenset({"byte", "base64", "base64url"})
_TO_THE_LETTER = {
    name: pattern for name, pattern in _PATTERNS.items() if name not in _NOT_JSON_SCHEMA
} | rfc_patterns(_DATE)


def format_pattern(name: str, closed: bool) -> str | None:
    """The pattern of a format; None where the name is not known. closed: for generating."""
    found = (_PATTERNS if closed else _TO_THE_LETTER).get(name)
    return None if found is None else f"^(?:{found})$"


# Patterns that match all that has the format, so that "not of this format" is known, too.
EXACT = frozenset({"date", "ipv4", "uuid"})

# Whole, with its padding (RFC 4648).
BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

# Formats that say what a string is for; every string has them.
WITHOUT_RULES = frozenset(
    {"path", "file-path", "directory-path", "binary", "password", "text", "multiline"}
)
