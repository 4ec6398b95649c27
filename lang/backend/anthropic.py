"""`bl.Anthropic`: Anthropic's Messages API as a backend, through the `anthropic` package."""

from __future__ import annotations

import json
from typing import Any, Final

from branchline.runtime import protocol
from branchline.runtime.tool_formats import RawCall

from ..chat_template import ChatTemplate
from ..errors import InternalError, InvalidRequest
from .base import Capabilities, OnChunk
from .conversation import turn_to_write
from .vendor import VendorBackend, finish_reason, nothing_to_generate
from .vendor_tools import (
    OfferedTools,
    anthropic_messages,
    anthropic_tools,
    told_text,
    turns_of,
)

_KEY_HEADERS: Final = ("x-api-key", "authorization")


class Anthropic(VendorBackend):
    """A model behind Anthropic's Messages API.

    model_name: what the API calls the model.
    chat_template: of how roles look in `s.text()`.
    client_options: of the package's client: `api_key, base_url, timeout, max_retries, ...`.

    The model writes assistant turns; text that stands in one before a gen is sent as the beginning
    of the model's answer (models that refuse such a beginning say so). A user's turn may hold
    pictures. `json_schema` and `schema`
    go through output_config, the tools of `bl.tool_call` through the API's own. There is no regex,
    select, log probability, seed or second output.

    Raises ImportError when the package is not installed, ValueError when there is no key.
    """

    package = "anthropic"
    capabilities = Capabilities(
        regex=False,
        select=False,
        logprobs=False,
        stop_regex=False,
        multiple_outputs=False,
        tool_calls=True,
        images=True,
    )

    def __init__(
        self,
        model_name: str,
        chat_template: ChatTemplate | str | None = None,
        **client_options: Any,
    ) -> None:
        super().__init__(model_name, chat_template, client_options, chat=True)

    def _new_client(self) -> Any:
        client = self._api.AsyncAnthropic(**self.client_options)
        headers = {name.lower() for name in client.default_headers}
        # Newer versions of the package have other credentials, too.
        if headers.isdisjoint(_KEY_HEADERS) and getattr(client, "credentials", None) is None:
            raise ValueError("Anthropic: no API key; give api_key= or set ANTHROPIC_API_KEY")
        return client

    async def generate(
        self,
        prompt: list[protocol.Part],
        sampling: protocol.SamplingParams,
        *,
        constraint: protocol.Constraint | None = None,
        logprobs: protocol.LogprobParams | None = None,
        on_chunk: OnChunk | None = None,
    ) -> protocol.Done:
        if sampling.max_new_tokens == 0:
            return nothing_to_generate(self._model.name, sampling.n)
        request = self._request(prompt, sampling, constraint)
        with self.asking():
            # A turn that may call tools comes as one piece: half a call says nothing.
            if on_chunk is None or isinstance(constraint, OfferedTools):
                # The time limit told, or the package refuses many tokens outside of a stream.
                client = self.client
                answer = await client.messages.create(**request, timeout=client.timeout)
            else:
                answer = await self._streamed(request, on_chunk)
            text = "".join(block.text for block in answer.content if block.type == "text")
            cached = answer.usage.cache_read_input_tokens or 0
        if isinstance(constraint, OfferedTools):
            text = told_text(text, _calls(answer.content), constraint)
            if on_chunk is not None:
                on_chunk(protocol.Chunk(answer.id, 0, 0, text, []))
        output = protocol.Output(
            text=text,
            token_ids=[],
            finish_reason=finish_reason(answer.stop_reason),
            matched_stop=answer.stop_sequence,
        )
        usage = protocol.Usage(
            answer.usage.input_tokens + cached, answer.usage.output_tokens, cached
        )
        return self.done(answer.id, [output], usage)

    def _request(
        self,
        prompt: list[protocol.Part],
        sampling: protocol.SamplingParams,
        constraint: protocol.Constraint | None,
    ) -> dict[str, Any]:
        self.refuse(
            seed=sampling.seed is not None,
            min_p=sampling.min_p,
            min_tokens=sampling.min_new_tokens,
            ignore_eos=sampling.ignore_eos,
            stop_token_ids=sampling.stop_token_ids,
            frequency_penalty=sampling.frequency_penalty,
            presence_penalty=sampling.presence_penalty,
            repetition_penalty=sampling.repetition_penalty != 1.0,
            logit_bias=sampling.logit_bias,
        )
        if sampling.temperature > 1.0:
            raise InvalidRequest(
                f"{self!r}: temperature={sampling.temperature}: the API takes 0 to 1",
                pointer="temperature",
            )
        told = turn_to_write(prompt, self.chat_template, repr(self), prefill=True)
        turns = turns_of([message for message in told.messages if message["role"] != "system"])
        messages = anthropic_messages(turns)
        if told.content.strip():
            messages.append({"role": "assistant", "content": told.content})
        tools = constraint if isinstance(constraint, OfferedTools) else None
        request: dict[str, Any] = {
            "model": self._model.name,
            "max_tokens": sampling.max_new_tokens,
            "messages": messages,
            **anthropic_tools(tools, turns),
        }
        if system := [m["content"] for m in told.messages if m["role"] == "system"]:
            request["system"] = "\n\n".join(system)
        if sampling.stop:
            request["stop_sequences"] = sampling.stop
        # In the body and not as arguments: the package's versions differ in which of these they
        # name, and newer models refuse some of them, so what is not asked for is not sent.
        body: dict[str, Any] = {}
        if sampling.temperature != 1.0:
            body["temperature"] = sampling.temperature
        if sampling.top_p < 1.0:
            body["top_p"] = sampling.top_p
        if sampling.top_k > 0:
            body["top_k"] = sampling.top_k
        if constraint is not None and tools is None:
            if not isinstance(constraint, protocol.JsonSchema):
                raise InvalidRequest(f"the API takes no {type(constraint).__name__} constraint")
            form = {"type": "json_schema", "schema": json.loads(constraint.schema)}
            body["output_config"] = {"format": form}
        return request | ({"extra_body": body} if body else {})

    async def _streamed(self, request: dict[str, Any], on_chunk: OnChunk) -> Any:
        seq = 0
        async with self.client.messages.stream(**request) as stream:
            async for text in stream.text_stream:
                if text:
                    on_chunk(protocol.Chunk(self._model.name, seq, 0, text, []))
                    seq += 1
            answer = await stream.get_final_message()
        if answer.stop_reason is None:
            raise InternalError(f"{self!r}: the stream ended before the output did")
        return answer


def _calls(content: list[Any]) -> list[RawCall]:
    """The calls among the blocks of an answer."""
    return [
        RawCall(block.name, json.dumps(block.input, ensure_ascii=False))
        for block in content
        if block.type == "tool_use"
    ]
