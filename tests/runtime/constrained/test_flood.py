"""Ever new schemas against the cache of compiled grammars: memory is bounded, nothing goes to disk,
and what is asked for again and again stays (S10)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.workers import Workers
from branchline.runtime.protocol import JsonSchema
from branchline.runtime.tokenizer import Tokenizer

MIB = 2**20
HOT = JsonSchema('{"type":"object","properties":{"hot":{"type":"boolean"}},"required":["hot"]}')
EVERY = 10


def unique(number: int) -> JsonSchema:
    """A schema that no other number has."""
    names = {f"field_{number}_{index}": {"enum": [number, f"v{number}"]} for index in range(4)}
    return JsonSchema(json.dumps({"type": "object", "properties": names, "required": list(names)}))


def resident_bytes(pid: int | str = "self") -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def written() -> list[str]:
    """Files that this process opens for writing or makes, from now on; an audit hook stays."""
    seen: list[str] = []
    writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & writes:
                seen.append(str(path))
        elif event in ("os.mkdir", "os.rename", "shutil.copyfile"):
            seen.append(str(arguments))

    sys.addaudithook(hook)
    return seen


@pytest.fixture
def workers() -> Iterator[Workers]:
    shared = Workers(GrammarLimits())
    yield shared
    shared.close()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("number", "cache_mib", "slack_mib"),
    [
        # As small a cache is soon filled twice, and what Python itself comes to hold stands out.
        (1_500, 12, 6),
        pytest.param(100_000, 256, 0, marks=[pytest.mark.nightly, pytest.mark.timeout(7_200)]),
    ],
)
def test_new_schemas_fill_the_cache_and_no_more(
    tokenizer: Tokenizer,
    workers: Workers,
    written: list[str],
    number: int,
    cache_mib: int,
    slack_mib: int,
) -> None:
    """As in the engine, where processes of their own take the schemas apart."""
    limits = GrammarLimits(cache_bytes=cache_mib * MIB)
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, limits, workers=workers)
    hot = compiler.compile(HOT)
    compiler.compile(unique(-1))
    (worker,) = [worker._process.pid for worker in workers._idle]
    written.clear()
    before, worker_before = resident_bytes(), resident_bytes(worker)
    most = [0, 0]  # of either half
    found = 0
    for index in range(number):
        compiler.compile(unique(index))
        assert compiler.cached_bytes <= limits.cache_bytes
        if index % EVERY == 0:
            found += compiler.compile(HOT) is hot
            half = 2 * index // number
            most[half] = max(most[half], resident_bytes() - before)
    asked = -(-number // EVERY)
    first, second = (size / MIB for size in most)
    beside = (resident_bytes(worker) - worker_before) / MIB
    print(
        f"{number} schemas: {first:.1f} and {second:.1f} MiB more, {beside:.1f} in the process "
        f"beside, hot one {found} of {asked}"
    )
    assert found >= 0.99 * asked
    assert written == []
    # What is kept, and nothing for each schema that is forgotten.
    assert compiler.misses == number + 2
    assert compiler.cached_bytes >= 0.9 * limits.cache_bytes
    assert max(first, second) <= 1.05 * cache_mib + slack_mib
    assert second - first <= 0.05 * cache_mib + slack_mib
    assert beside <= 16


def test_what_is_written_would_be_seen(written: list[str], tmp_path: Path) -> None:
    """Planted: one file."""
    written.clear()
    (tmp_path / "cache").write_text("{}")
    assert written == [str(tmp_path / "cache")]
