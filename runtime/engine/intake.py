"""From a Submit to a Sequence, or a refusal; used by the engine core when a request arrives.

The front process checks much of this too, where it can say more. It is checked here because a
program that runs the engine in its own process has no front process.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from .. import sampling
from ..engine_protocol import Submit
from ..errors import RequestError
from ..protocol import SamplingParams
from ..radix_cache.node import TokenIds
from ..scheduler.sequence import Sequence
from ..scheduler.stop import StopChecker
from ..tokenizer import Tokenizer

_PromptIds = npt.NDArray[np.int64]


class Intake:
    """What a new sequence is measured against.

    vocab_size: tokens that exist. hidden_size: of embeddings. context_length: of the model.
    num_slots: of the KV pool. quotas: how many of them are kept for each of these namespaces.
    seed: decides the seeds of those requests that name none.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        vocab_size: int,
        hidden_size: int,
        context_length: int,
        num_slots: int,
        quotas: Mapping[str, int],
        eos_ids: tuple[int, ...],
        seed: int,
    ) -> None:
        self.vocab_size = vocab_size
        self._hidden_size = hidden_size
        self._context_length = context_length
        self._num_slots = num_slots
        self._quotas = quotas
        self._eos_ids = eos_ids
        self._token_bytes = tokenizer.token_bytes
        self._control_ids = {
            tokenizer.decode([token_id], skip_special_tokens=False): token_id
            for token_id in tokenizer.special_ids
        }
        self._num_taken = 0
        # The calls of a program are asked for alike, and checking takes longer than comparing.
        self._sound: SamplingParams | None = None
        self._seeds = random.Random(seed)

    def take(self, submit: Submit) -> Sequence:
        """Raises RequestError when the sequence can never be served."""
        self._check_ids(submit.input_ids)
        return self._take(submit, np.array(submit.input_ids, np.int64))

    def take_behind(self, submit: Submit, kept: TokenIds) -> Sequence:
        """`take` of a prompt that goes on from tokens which were taken or sampled before;
        `input_ids` has only what is new. Raises RequestError likewise."""
        if submit.input_ids:
            self._check_ids(submit.input_ids)
        return self._take(submit, np.concatenate([kept, np.array(submit.input_ids, np.int64)]))

    def _take(self, submit: Submit, ids: _PromptIds) -> Sequence:
        params = submit.sampling
        self._check_length(submit, len(ids))
        if params != self._sound:
            sampling.check(params, self.vocab_size)
            self._sound = params
        if submit.logprobs is not None:
            sampling.check_logprobs(submit.logprobs, len(ids))
        if submit.embed is not None:
            self._check_embed(submit)
        if params.seed is None:
            params = msgspec.structs.replace(params, seed=self._seeds.getrandbits(63))
        most = min(self._context_length, self._slots_for(submit.namespace))
        max_new_tokens = min(params.max_new_tokens, most - len(ids))
        stop = StopChecker(
            params, max_new_tokens, self._eos_ids, self._token_bytes, self._control_ids
        )
        self._num_taken += 1
        room = np.empty(len(ids) + min(max_new_tokens, 256), np.int32)
        room[: len(ids)] = ids
        return Sequence(
            sid=submit.sid,
            arrival=self._num_taken,
            namespace=submit.namespace,
            prompt_len=len(ids),
            max_new_tokens=max_new_tokens,
            sampling=params,
            stop=stop,
            ids=room,
            num_tokens=len(ids),
            logprobs=submit.logprobs,
            constraint=submit.constraint if max_new_tokens else None,
            priority=submit.priority,
            session=submit.session,
            ends_session=submit.ends_session,
            program=submit.program or submit.session,
            then=list(submit.then),  # may grow: Follow
            quiet=submit.quiet,
            private=submit.private,
            embed=submit.embed,
            sampling_state=sampling.SamplingState(
                params, ids, self.vocab_size, stop.stop_ids, submit.logprobs
            ),
        )

    def _check_embed(self, submit: Submit) -> None:
        if submit.sampling.max_new_tokens:
            raise RequestError(
                "invalid_request",
                "a prompt that is embedded is not continued; give max_new_tokens 0",
                pointer="/max_new_tokens",
            )
        asked = submit.embed and submit.embed.dimensions
        if asked and asked > self._hidden_size:
            raise RequestError(
                "invalid_request",
                f"the model's embeddings have {self._hidden_size} dimensions; ask for at most that",
                pointer="/embed/dimensions",
            )

    def _slots_for(self, namespace: str) -> int:
        """Slots that a sequence of this namespace can have when it is alone."""
        return self._num_slots - sum(
            quota for name, quota in self._quotas.items() if name != namespace
        )

    def _check_ids(self, ids: list[int]) -> None:
        if not ids:
            raise RequestError("invalid_request", "the prompt has no tokens", pointer="/prompt")
        # Of the few that a call of a program adds arrays would take ten times as long.
        if min(ids) < 0 or max(ids) >= self.vocab_size:
            wrong = next(index for index in ids if not 0 <= index < self.vocab_size)
            raise RequestError(
                "invalid_request",
                f"token id {wrong} in the prompt is outside the vocabulary of {self.vocab_size}",
                pointer="/prompt",
            )

    def _check_length(self, submit: Submit, num_tokens: int) -> None:
        num_new = min(1, submit.sampling.max_new_tokens)
        for holds, what, advice in (
            (self._context_length, "the context holds", ""),
            (self._slots_for(submit.namespace), "the KV pool holds", " or raise --kv-slots"),
        ):
            if num_tokens + num_new > holds:
                raise RequestError(
                    "context_length",
                    f"the prompt has {num_tokens} tokens, with {num_new} to generate at least, "
                    f"but {what} {holds}; shorten the prompt{advice}",
                    pointer="/prompt",
                )
