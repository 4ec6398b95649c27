"""Each API key has its share: requests per second, requests at a time, and a namespace."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from pathlib import Path

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.server.http.errors import ApiError
from branchline.runtime.server.http.quota import Quota, namespace_of, read_keys
from branchline.runtime.server.http.settings import digest, parse_http
from branchline.runtime.server.http.tenants import Tenants
from branchline.runtime.server.options import parse
from branchline.runtime.tokenizer import Tokenizer

KEY, OTHER_KEY = "correct-horse-battery", "staple-of-another"


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def statuses(tenants: Tenants, number: int, namespace: str = "a") -> list[int]:
    """What so many requests in a row get, each over before the next."""
    found = []
    for _ in range(number):
        try:
            with tenants.admitted(namespace):
                found.append(200)
        except ApiError as error:
            found.append(error.status)
    return found


def test_a_rate_is_kept_and_comes_back_with_time() -> None:
    clock = Clock()
    tenants = Tenants(Quota(requests_per_s=2.0), {}, clock)
    assert statuses(tenants, 4) == [200, 200, 429, 429]
    clock.now_s += 0.5
    assert statuses(tenants, 2) == [200, 429]
    clock.now_s += 1_000.0
    assert statuses(tenants, 3) == [200, 200, 429]


def test_a_rate_below_one_lets_one_request_through_at_a_time() -> None:
    clock = Clock()
    tenants = Tenants(Quota(requests_per_s=0.1), {}, clock)
    assert statuses(tenants, 2) == [200, 429]
    clock.now_s += 9.9
    assert statuses(tenants, 1) == [429]
    clock.now_s += 0.2
    assert statuses(tenants, 1) == [200]


def test_the_refusal_says_when_to_come_back() -> None:
    tenants = Tenants(Quota(requests_per_s=0.1), {}, Clock())
    statuses(tenants, 1)
    with pytest.raises(ApiError) as caught, tenants.admitted("a"):
        pass
    assert caught.value.headers["Retry-After"] == "10"


def test_requests_at_a_time_are_counted_until_they_end_however_they_end() -> None:
    tenants = Tenants(Quota(concurrency=2), {}, Clock())
    with ExitStack() as running:
        running.enter_context(tenants.admitted("a"))
        running.enter_context(tenants.admitted("a"))
        assert statuses(tenants, 1) == [429]
        assert statuses(tenants, 1, "b") == [200]
    with pytest.raises(ZeroDivisionError), tenants.admitted("a"):
        raise ZeroDivisionError
    assert statuses(tenants, 1) == [200]


def test_one_tenant_s_flood_takes_nothing_from_another() -> None:
    tenants = Tenants(Quota(requests_per_s=1.0), {"b": Quota(requests_per_s=3.0)}, Clock())
    assert statuses(tenants, 50, "a").count(200) == 1
    assert statuses(tenants, 4, "b") == [200, 200, 200, 429]


def test_what_a_key_may_keep_in_the_cache_reaches_the_engine(tmp_path: Path) -> None:
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    path = write_keys(tmp_path / "keys.toml", f'sha256 = "{hashed}"\ncache_quota = "1.5MiB"')
    options = parse(["--http=127.0.0.1:0", f"--keys-file={path}"])
    assert options.engine.namespace_quotas == {namespace_of(digest(KEY.encode())): "1.5MiB"}


def write_keys(path: Path, *tables: str) -> str:
    path.write_text("".join(f"[[key]]\n{table}\n" for table in tables))
    return str(path)


def test_a_file_of_keys_holds_digests_and_quotas(tmp_path: Path) -> None:
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    other = hashlib.sha256(OTHER_KEY.encode()).hexdigest()
    path = write_keys(
        tmp_path / "keys.toml",
        f'name = "acme"\nsha256 = "{hashed}"\nrequests_per_s = 5\nconcurrency = 2',
        f'sha256 = "{other}"',
    )
    assert read_keys(path) == {
        digest(KEY.encode()): Quota(5, 2),
        digest(OTHER_KEY.encode()): Quota(),
    }
    settings = parse_http("0.0.0.0:0", [], [], keys_file=path)
    assert settings.quotas[namespace_of(digest(KEY.encode()))] == Quota(5, 2)
    assert len(settings.key_digests) == 2


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "sha256 must be"),
        ('sha256 = "abc"', "sha256 must be"),
        (f'sha256 = "{"z" * 64}"', "hexadecimal"),
        (f'sha256 = "{"0" * 64}"\ncolour = "red"', "unknown field 'colour'"),
        (f'sha256 = "{"0" * 64}"\nconcurrency = 0', "concurrency must be"),
        (f'sha256 = "{"0" * 64}"\nconcurrency = true', "must be a number"),
        (f'sha256 = "{"0" * 64}"\nrequests_per_s = -1', "requests_per_s must be"),
        (f'sha256 = "{"0" * 64}"\ncache_quota = "lots"', "quota must be"),
        (f'sha256 = "{"0" * 64}"\nrequests_per_s = nan', "requests_per_s must be"),
    ],
)
def test_a_file_of_keys_that_is_wrong_names_the_place(
    tmp_path: Path, table: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_keys(write_keys(tmp_path / "keys.toml", table))
    assert "key 1" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[key]\n", "colour = 1\n", "[[key\n"])
def test_a_file_without_keys_opens_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="keys"):
        parse_http("0.0.0.0:0", [], [], keys_file=str(path))


def test_a_key_that_asks_too_much_gets_429_with_retry_after_and_others_go_on(
    tokenizer: Tokenizer,
) -> None:
    front = PlayedFront(tokenizer)
    asker = Asker(front.listen(KEY, OTHER_KEY, quota=Quota(requests_per_s=1.0)))

    def ask(key: str) -> int:
        answer = asker.ask(
            "POST",
            "/v1/completions",
            {"prompt": "hello", "max_tokens": 2},
            headers={"Authorization": f"Bearer {key}"},
        )
        if answer.status == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.error["code"] == "rate_limit_exceeded"
        return answer.status

    found = [ask(KEY) for _ in range(5)]
    assert found[0] == 200
    assert 429 in found
    assert ask(OTHER_KEY) == 200
    front.close()
