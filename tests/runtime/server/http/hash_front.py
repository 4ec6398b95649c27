"""HTTP, service and engine core in one process, on the model of hashes: each answer proves that
every KV slot it was made of was the right one. For tests of what needs many requests."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from played_front import PlayedFront

from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine_protocol import (
    Drop,
    EngineCommand,
    EngineFlush,
    EngineFlushed,
    EnginePing,
    EnginePong,
    Failed,
    StepEvents,
    Submit,
)
from branchline.runtime.errors import RequestError
from branchline.runtime.memory.allocator import SlotIds
from branchline.runtime.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parents[2] / "engine"))

from hash_runner import HashRunner


class NoCompiler:
    """For engines whose requests have no constraints."""

    def compile(self, constraint: object, max_new_tokens: int) -> object:
        raise AssertionError("nothing is to be compiled here")


class HashFront(PlayedFront):
    """See the module's text. The engine's bookkeeping is checked at idle, every time or every
    `check_every`-th, since a check takes as long as the tree is large; and raises."""

    def __init__(
        self, tokenizer: Tokenizer, num_slots: int, *, check_every: int = 1, **config: Any
    ) -> None:
        self._check_every, self._num_idle = check_every, 0
        self.runner = HashRunner(num_slots, tokenizer.vocab_size)
        self.core = EngineCore(
            EngineConfig(**config), self.runner, tokenizer, NoCompiler(), strict=True
        )
        free = self.core.allocator.free

        def free_and_poison(slots: SlotIds) -> None:
            free(slots)
            self.runner.poison(slots)

        self.core.allocator.free = free_and_poison  # type: ignore[method-assign]
        super().__init__(tokenizer, context=min(num_slots, self.runner.context_length))

    def _has_work(self) -> bool:
        return self.core.has_work

    def _to_engine(self, command: EngineCommand) -> None:
        match command:
            case Submit(sid=sid):
                try:
                    self.core.submit(command)
                except RequestError as error:
                    failed = Failed(sid, error.code, error.message, error.pointer)
                    self._tell(StepEvents(failed=[failed]))
            case Drop(sid=sid):
                self.core.drop(sid)
            case EnginePing(seq=seq):
                self._tell(EnginePong(seq, self.core.stats()))
            case EngineFlush(seq=seq):
                self._tell(EngineFlushed(seq, self.core.flush_cache()))

    def _tell(self, event: StepEvents | EnginePong | EngineFlushed) -> None:
        self._errands.put(lambda: self.service.on_engine_event(event))

    def _step(self) -> None:
        self.service.on_engine_event(self.core.step())
        if not self.core.has_work:
            self._num_idle += 1
            if self._num_idle % self._check_every == 0:
                self.core.check()


@contextmanager
def serving(tokenizer: Tokenizer, num_slots: int, *keys: str, **config: Any) -> Iterator[HashFront]:
    front = HashFront(tokenizer, num_slots, **config)
    front.listen(*keys)
    yield front
    front.close()


class TokenAsker:
    """Asks for continuations of token ids, over a connection for each request."""

    def __init__(self, front: HashFront, key: str = "none") -> None:
        assert front.server is not None
        self._address = front.server.url.removeprefix("http://")
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}

    def ask(self, prompt: Sequence[int], num_new: int) -> dict[str, Any]:
        sampling = {"temperature": 0, "ignore_eos": True, "max_new_tokens": num_new}
        body = json.dumps({"input_ids": list(prompt), "sampling_params": sampling})
        connection = http.client.HTTPConnection(self._address, timeout=120)
        connection.request("POST", "/generate", body, self._headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        assert response.status == 200, answer
        return dict(answer)

    def num_cached(self, prompt: Sequence[int]) -> int:
        return int(self.ask(prompt, 1)["meta_info"]["cached_tokens"])
