"""What the vendors' HTTP backends share: their packages, clients, errors and token counts. Base of
openai.py and anthropic.py."""

from __future__ import annotations

import asyncio
import importlib
import math
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any, ClassVar, Final, NoReturn

from branchline.runtime import protocol
from branchline.runtime.tool_formats import ToolFormat, ToolSpec

from ..chat_template import ChatTemplate, get_chat_template
from ..closing import Closing
from ..errors import (
    ContextLengthExceeded,
    GenerationError,
    InternalError,
    InvalidRequest,
    Overloaded,
    RuntimeUnavailable,
    TimeoutExceeded,
    no_character,
)
from ..loop import shared_loop
from .base import Backend
from .conversation import check_template
from .vendor_tools import CALL_FORM, TOOL_ROLE, offered

_CLOSE_S: Final = 2.0
# An error that comes inside of a stream has a code or a type, and the status of the stream: 200.
_STATUS_OF_NAME: Final = {
    "authentication_error": 401,
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "timeout": 408,
    "timeout_error": 504,
    "unavailable": 503,
}

# What reading an answer raises that is not one.
_UNREADABLE: Final = AssertionError | AttributeError | LookupError | TypeError | ValueError


@dataclass
class TokenUsage:
    """The tokens that a backend's calls were billed for so far."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def reset(self) -> None:
        self.prompt_tokens = self.completion_tokens = 0

    def add(self, usage: protocol.Usage) -> None:
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens


class VendorBackend(Closing, Backend):
    """A model behind a vendor's HTTP API, reached through the vendor's own client package. Closing
    it ends its connections.

    The package is imported by the constructor, so that a missing one shows there.
    """

    package: ClassVar[str]

    def __init__(
        self,
        model_name: str,
        chat_template: ChatTemplate | str | None,
        client_options: dict[str, Any],
        *,
        chat: bool,
    ) -> None:
        self.client_options = client_options
        self.token_usage = TokenUsage()
        self.is_chat_model = chat
        self._api = import_vendor(self.package, type(self).__name__)
        # Made here, so that a missing key shows now and not at the first call.
        self._closed = False
        self._client: tuple[asyncio.AbstractEventLoop | None, Any] = (None, self._new_client())
        self._model = protocol.ModelInfo(
            name=model_name,
            path=model_name,
            architecture=self.package,
            context_length=0,
            vocab_size=0,
            eos_token_ids=[],
            role_markup=None,
        )
        if isinstance(chat_template, str):
            chat_template = get_chat_template(chat_template)
        template = chat_template or get_chat_template("default")
        self.chat_template = check_template(_with_tool_role(template)) if chat else template

    @abstractmethod
    def _new_client(self) -> Any:
        """An asynchronous client of the vendor's package."""

    @property
    def client(self) -> Any:
        """The client for the running loop: its connections belong to the loop that made them."""
        if self._closed:
            raise RuntimeUnavailable(f"{self!r} is closed")
        loop = asyncio.get_running_loop()
        home, client = self._client
        if home is not loop:
            self._client = (loop, client if home is None else self._new_client())
        return self._client[1]

    def close(self) -> None:
        self._closed = True
        home, client = self._client
        # Nothing was asked yet, or before a fork.
        if home is None or home is not (loop := shared_loop()).loop:
            return
        closed = loop.spawn(client.close())
        if not loop.is_current():
            closed.result(_CLOSE_S)

    @property
    def model_info(self) -> protocol.ModelInfo:
        """The model's name; what an API does not tell is 0 or empty."""
        return self._model

    def offer_tools(
        self,
        specs: Sequence[ToolSpec],
        tool_format: ToolFormat | None,
        *,
        parallel: bool,
        choice: str,
    ) -> tuple[ToolFormat, protocol.Tagged]:
        """The API takes them beside the prompt, and has a form of its own."""
        return CALL_FORM, offered(specs, parallel=parallel, choice=choice)

    def list_tools(
        self, specs: Sequence[ToolSpec], tool_format: ToolFormat | None
    ) -> list[tuple[str, bool]]:
        """Nothing: the API shows them to the model."""
        return []

    async def score(
        self, prompt: list[protocol.Part], choices: Sequence[str], *, unconditional: bool = False
    ) -> protocol.Scores:
        raise InvalidRequest(f"{self!r} cannot score choices", pointer="select")

    async def drop_cache(self) -> int:
        """Nothing: the API's cache is its own."""
        return 0

    async def server_info(self) -> protocol.Info:
        """The tokens spent."""
        usage = self.token_usage
        stats = {
            "prompt_tokens": float(usage.prompt_tokens),
            "completion_tokens": float(usage.completion_tokens),
        }
        return protocol.Info(rid="info", model=self._model, stats=stats)

    def refuse(self, **wanted: object) -> None:
        """Refuse the parameters that are given and that this API does not have."""
        for name, value in wanted.items():
            if value:
                raise InvalidRequest(
                    f"{self!r}: the API has no parameter {name}; leave it out", pointer=name
                )

    def done(
        self,
        rid: str,
        outputs: list[protocol.Output],
        usage: protocol.Usage,
    ) -> protocol.Done:
        """The finished call, counted."""
        self.token_usage.add(usage)
        return protocol.Done(rid=rid, outputs=outputs, usage=usage)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a request and the reading of its answer: what goes wrong becomes an error of the
        language."""
        try:
            yield
        except GenerationError:
            raise
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        """Raise what an exception of the vendor's package, or of reading, means to a program."""
        api = self._api
        message = f"{self!r}: {getattr(error, 'message', None) or error}"
        # Inside of a stream the HTTP library's own errors come through: which library, differs by
        # the package's version.
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if isinstance(error, api.APITimeoutError) or "TimeoutException" in kinds:
            raise TimeoutExceeded(f"{self!r}: no answer in time ({_told(error)})") from error
        if isinstance(error, api.APIConnectionError):
            raise RuntimeUnavailable(f"{message} ({_told(error.__cause__)})") from error
        if "TransportError" in kinds:
            raise RuntimeUnavailable(f"{self!r}: connection lost ({_told(error)})") from error
        if isinstance(error, UnicodeEncodeError):
            raise no_character(error) from None
        if isinstance(error, _UNREADABLE):
            raise InternalError(
                f"{self!r}: no answer of the API's form ({_told(error)}); "
                "check base_url and api_key"
            ) from error
        if not isinstance(error, api.APIError):
            raise GenerationError(message) from error
        status: int = getattr(error, "status_code", 200)
        if status == 200:
            status = _status_in_stream(error)
        if status == 408:
            raise TimeoutExceeded(message) from error
        if status == 429:
            raise Overloaded(message, retry_after_s=_retry_after(error)) from error
        if status == 400 and getattr(error, "code", None) == "context_length_exceeded":
            raise ContextLengthExceeded(message) from error
        if status >= 500:
            kind = RuntimeUnavailable if status in (502, 503, 504, 529) else InternalError
            raise kind(message) from error
        raise InvalidRequest(message) from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model.name!r})"


def total(usages: Sequence[protocol.Usage]) -> protocol.Usage:
    """The tokens of several requests that were made for one call."""
    return protocol.Usage(
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        sum(usage.cached_tokens for usage in usages),
    )


def finish_reason(told: str | None) -> protocol.FinishReason:
    """ "length" where the API says that a limit cut the output, "stop" otherwise."""
    return "length" if told in ("length", "max_tokens") else "stop"


def nothing_to_generate(rid: str, num_outputs: int) -> protocol.Done:
    """The answer to a call that only warms a cache, which an API keeps by itself."""
    return protocol.Done(
        rid=rid,
        outputs=[protocol.Output("", [], "length") for _ in range(num_outputs)],
        usage=protocol.Usage(0, 0, 0),
    )


def _with_tool_role(template: ChatTemplate) -> ChatTemplate:
    """The template with a turn for what tools return, as every chat API has one."""
    roles = template.role_prefix_and_suffix
    if TOOL_ROLE in roles:
        return template
    _, suffix = roles.get("user", ("", "\n"))
    return replace(template, role_prefix_and_suffix={**roles, TOOL_ROLE: ("TOOL:", suffix)})


def import_vendor(package: str, backend: str) -> ModuleType:
    """A vendor's package, or ImportError with how to install it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"bl.{backend} needs the package {package!r}: pip install 'branchline[{package}]'"
        ) from None


def _told(error: BaseException | None) -> str:
    """An exception in words; some have none of their own."""
    return str(error) or type(error).__name__ if error is not None else "no answer"


def _status_in_stream(error: Any) -> int:
    """The status that an error inside of a stream would have outside. Some servers tell it as the
    code."""
    code = str(getattr(error, "code", None))
    if code.isdecimal():
        return int(code)
    kind = str(getattr(error, "type", None))
    return _STATUS_OF_NAME.get(code) or _STATUS_OF_NAME.get(kind, 500)


def _retry_after(error: Any) -> float | None:
    """RFC 9110, 10.2.3: seconds, or a date. An error inside of a stream tells none."""
    response = getattr(error, "response", None)
    told = response.headers.get("retry-after", "") if response is not None else ""
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(told).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return seconds if 0 <= seconds < math.inf else None
