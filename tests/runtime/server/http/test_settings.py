"""Where HTTP may listen, and for whom."""

from __future__ import annotations

import pytest

from branchline.runtime.server.endpoint import EndpointError
from branchline.runtime.server.http.settings import listen, parse_http, url_of
from branchline.runtime.server.options import UsageError, parse

KEY = "long-enough-key"


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "localhost:0", "[::1]:65535", "127.9.9.9:1"])
def test_loopback_needs_no_key(address: str) -> None:
    assert parse_http(address, [], []).key_digests == ()


@pytest.mark.parametrize(
    "address", ["0.0.0.0:8000", "[::]:8000", "192.168.1.5:80", "example.org:80"]
)
def test_any_other_address_needs_a_key(address: str) -> None:
    with pytest.raises(ValueError, match="--api-key"):
        parse_http(address, [], [])
    assert parse_http(address, [KEY], []).hosts is None


@pytest.mark.parametrize("address", ["8000", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ":80"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="--http"):
        parse_http(address, [], [])


@pytest.mark.parametrize("key", ["", "short", "with space in it", "ünïcödé-key", "tab\tin-it-x"])
def test_a_key_that_is_weak_or_cannot_be_sent_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="--api-key"):
        parse_http("127.0.0.1:0", [key], [])


def test_keys_are_kept_as_digests_only() -> None:
    assert KEY not in repr(parse_http("127.0.0.1:0", [KEY], []))


def test_a_port_in_use_is_refused_in_words() -> None:
    with listen(parse_http("127.0.0.1:0", [], [])) as first:
        address = url_of(first).removeprefix("http://")
        with pytest.raises(EndpointError, match="choose another port"):
            listen(parse_http(address, [], []))


def test_keys_come_from_the_command_line_and_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BRANCHLINE_API_KEY", "from-the-environment another-from-there")
    options = parse(["--http=127.0.0.1:0", f"--api-key={KEY}"])
    assert options.http is not None
    assert len(options.http.key_digests) == 3


def test_a_key_without_http_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="--http"):
        parse([f"--api-key={KEY}"])
