"""`bl.Crusoe`: Crusoe's managed inference, which speaks OpenAI's API."""

from __future__ import annotations

import os
from typing import Any, Final

from ..chat_template import ChatTemplate
from .openai import OpenAI

_BASE_URL: Final = "https://managed-inference-api-proxy.crusoecloud.com/v1/"


class Crusoe(OpenAI):
    """`bl.OpenAI` at Crusoe's address, with the key in `CRUSOE_API_KEY` unless one is given.

    Raises ValueError when there is no key.
    """

    def __init__(
        self,
        model_name: str,
        api_key: str | None = None,
        base_url: str | None = None,
        chat_template: ChatTemplate | str | None = None,
        **client_options: Any,
    ) -> None:
        key = api_key or os.environ.get("CRUSOE_API_KEY")
        if not key:
            raise ValueError("Crusoe: no API key; give api_key= or set CRUSOE_API_KEY")
        super().__init__(
            model_name,
            chat_template=chat_template,
            api_key=key,
            base_url=base_url or _BASE_URL,
            **client_options,
        )
