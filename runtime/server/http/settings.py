"""Where HTTP listens and who may ask; made by options.py, so nothing heavy is imported here."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..endpoint import EndpointError
from .quota import Quota, namespace_of, read_keys

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_BACKLOG: Final = 2048
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")
_MIN_KEY_CHARS: Final = 8


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """host, port: where to listen; port 0 takes any that is free.

    key_digests: SHA-256 of every API key; empty means that no key is needed.
    quota: what each key may ask for; quotas: of those namespaces that have one of their own.
    hosts: names that a request's Host header may carry (without the port); None allows any.
    """

    host: str
    port: int
    key_digests: tuple[bytes, ...] = ()
    hosts: frozenset[str] | None = _LOOPBACK_NAMES
    quota: Quota = field(default_factory=Quota)
    quotas: Mapping[str, Quota] = field(default_factory=dict)


def parse_http(
    address: str,
    api_keys: list[str],
    allowed_hosts: list[str],
    *,
    keys_file: str | None = None,
    quota: Quota | None = None,
) -> HttpSettings:
    """Settings from the command line's words. Raises ValueError, for the user to read."""
    host, colon, port_text = address.rpartition(":")
    if not colon or not host or not (port_text.isascii() and port_text.isdigit()):
        raise ValueError(f"--http takes HOST:PORT, for example 127.0.0.1:8000, not {address!r}")
    port = int(port_text)
    if port > 65_535:
        raise ValueError(f"--http: {port} is no port (0 to 65535)")
    for key in api_keys:
        if len(key) < _MIN_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError(
                f"--api-key takes at least {_MIN_KEY_CHARS} printable ASCII characters, no spaces"
            )
    for name in allowed_hosts:
        if not _HOST_NAME.fullmatch(name) and not _is_ipv6(name):
            raise ValueError(f"--allowed-host takes a host name without a port, not {name!r}")
    keys: dict[bytes, Quota | None] = dict.fromkeys(digest(key.encode()) for key in api_keys)
    keys |= read_keys(keys_file) if keys_file is not None else {}
    if not keys and not _is_loopback(host):
        raise ValueError(
            f"refusing to serve HTTP at {address} to anyone: give --api-key or --keys-file, or "
            f"listen on 127.0.0.1:{port}"
        )
    hosts: frozenset[str] | None = None
    if allowed_hosts:
        hosts = frozenset(name.lower() for name in allowed_hosts)
    elif not keys:
        # A web page may point a name of its own at 127.0.0.1; its requests carry that name.
        hosts = _LOOPBACK_NAMES | {host.lower()}
    own = {namespace_of(key): quota for key, quota in keys.items() if quota is not None}
    return HttpSettings(host.strip("[]"), port, tuple(keys), hosts, quota or Quota(), own)


def digest(key: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key).digest()


def listen(settings: HttpSettings) -> socket.socket:
    """The listening socket. Raises EndpointError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise EndpointError(
            f"cannot serve HTTP at {settings.host}:{settings.port}: {error.strerror}; choose "
            f"another port, or 0 for any that is free"
        ) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """http://host:port of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_ipv6(name: str) -> bool:
    try:
        return (
            name.startswith("[") and name.endswith("]") and bool(ipaddress.IPv6Address(name[1:-1]))
        )
    except ValueError:
        return False
