"""String formats in every form that their definitions have; used by formats.py for schemas that
are read to the letter. Where a definition is not regular the pattern leaves forms out."""

from __future__ import annotations

_HEX = "[0-9A-Fa-f]"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"

# RFC 4291: eight groups, the last two of them perhaps as IPv4, and `::` for one group or more.
_GROUP = f"{_HEX}{{1,4}}"
_IPV6 = "|".join(
    [
        f"{_GROUP}(?::{_GROUP}){{7}}",
        f"(?:{_GROUP}:){{1,7}}:",
        *(f"(?:{_GROUP}:){{1,{7 - after}}}(?::{_GROUP}){{{after}}}" for after in range(1, 7)),
        f":(?::{_GROUP}){{1,7}}",
        "::",
        f"(?:{_GROUP}:){{6}}{_IPV4}",
        f"::(?:{_GROUP}:){{0,5}}{_IPV4}",
        *(
            f"{_GROUP}(?::{_GROUP}){{{before - 1}}}::(?:{_GROUP}:){{0,{5 - before}}}{_IPV4}"
            for before in range(1, 6)
        ),
    ]
)


# RFC 1123, at most 253 characters. Labels with hyphens in the third and fourth place are left out:
# they begin as Punycode does, and only some of them are names.
def _label(most: int) -> str:
    edge, inner = "[A-Za-z0-9]", "[A-Za-z0-9-]"
    long = rf"{inner}(?:{edge}{inner}|-{edge}){inner}{{0,{most - 5}}}{edge}"
    return rf"{edge}(?:{inner}{{0,2}}{edge}|{long})?"


_HOST = rf"{_label(63)}(?:\.{_label(30)}){{0,6}}"

# RFC 3986, and RFC 3987 with the characters beyond ASCII.
_BEYOND = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef" + "".join(
    f"{chr(plane << 16)}-{chr((plane << 16) + 0xFFFD)}" for plane in range(1, 15)
)


def _uri(letters: str) -> tuple[str, str]:
    """An address with a scheme, and one that may be relative. letters: that may be unescaped beside
    those of ASCII."""
    base = rf"A-Za-z0-9._~!$&'()*+,;=\-{letters}"
    escaped = f"%{_HEX}{{2}}"
    char = f"(?:[{base}:@]|{escaped})"
    literal = rf"\[(?:{_IPV6}|[vV]{_HEX}+\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\]"
    host = rf"(?:{literal}|(?:[{base}]|{escaped})*)"
    authority = rf"//(?:(?:[{base}:]|{escaped})*@)?{host}(?::\d*)?(?:/{char}*)*"
    absolute = rf"/(?:{char}+(?:/{char}*)*)?"
    tail = rf"(?:\?(?:[{base}:@/?]|{escaped})*)?(?:#(?:[{base}:@/?]|{escaped})*)?"
    rootless = rf"{char}+(?:/{char}*)*"
    # A colon in the first part of a relative path would end a scheme.
    no_scheme = rf"(?:[{base}@]|{escaped})+(?:/{char}*)*"
    full = rf"[A-Za-z][A-Za-z0-9+.-]*:(?:{authority}|{absolute}|{rootless})?{tail}"
    relative = rf"(?:{authority}|{absolute}|{no_scheme})?{tail}"
    return full, rf"(?:{full}|{relative})"


_URI, _URI_REFERENCE = _uri("")
_IRI, _IRI_REFERENCE = _uri(_BEYOND)

# RFC 6570.
_VARIABLE = r"(?:\w|%[0-9A-Fa-f]{2})(?:\.?(?:\w|%[0-9A-Fa-f]{2}))*(?::[1-9]\d{0,3}|\*)?"
_TEMPLATE = (
    rf"(?:[!#-$&(-;=?-\[\]_a-z~{_BEYOND}]|%{_HEX}{{2}}"
    rf"|\{{[+#./;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\}})*"
)

# RFC 5321.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
_MAIL_LITERAL = rf"\[(?:{_IPV4}|IPv6:(?:{_IPV6}))\]"
_MAIL = rf"(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED})@(?:{_HOST}|{_MAIL_LITERAL})"
_ATOM_BEYOND = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_BEYOND}-]+"
_LABEL_BEYOND = rf"[A-Za-z0-9{_BEYOND}]+(?:-[A-Za-z0-9{_BEYOND}]+)*"

# RFC 3339; a leap second only where the zone is that of Greenwich.
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_TIME = rf"(?:{_CLOCK}|23:59:60(?:\.\d+)?(?:[Zz]|[+-]00:00))"
_DAYS = r"\d+D"
_MONTHS = rf"\d+M(?:{_DAYS})?"
_SECONDS = r"\d+S"
_MINUTES = rf"\d+M(?:{_SECONDS})?"
_CLOCK_SPAN = rf"T(?:\d+H(?:{_MINUTES})?|{_MINUTES}|{_SECONDS})"
_DURATION = rf"P(?:(?:\d+Y(?:{_MONTHS})?|{_MONTHS}|{_DAYS})(?:{_CLOCK_SPAN})?|{_CLOCK_SPAN}|\d+W)"

_POINTER = r"(?:/(?:[^~/]|~[01])*)*"


def rfc_patterns(date: str) -> dict[str, str]:
    """date: the pattern of those that exist."""
    return {
        "time": _TIME,
        "date-time": rf"{date}[Tt]{_TIME}",
        "duration": _DURATION,
        "ipv6": _IPV6,
        "hostname": _HOST,
        # Letters beyond ASCII have rules of their own (RFC 5892), which this leaves out.
        "idn-hostname": _HOST,
        "email": _MAIL,
        "idn-email": rf"{_ATOM_BEYOND}(?:\.{_ATOM_BEYOND})*@{_LABEL_BEYOND}(?:\.{_LABEL_BEYOND})*",
        "uri": _URI,
        "uri-reference": _URI_REFERENCE,
        "iri": _IRI,
        "iri-reference": _IRI_REFERENCE,
        "uri-template": _TEMPLATE,
        "json-pointer": _POINTER,
        "relative-json-pointer": rf"(?:0|[1-9]\d*)(?:#|{_POINTER})",
    }
