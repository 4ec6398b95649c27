"""Branchline: structured-generation programs over language models (`import branchline as bl`).

The public names. Each is loaded from its module at first use, so that the import itself costs
next to nothing and brings in neither torch nor pydantic.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .engine import Engine
    from .grammar_check import GrammarReport, check_grammar
    from .lang.agents import agent_loop, agent_loop_async
    from .lang.api import (
        assistant,
        assistant_begin,
        assistant_end,
        gen,
        gen_int,
        gen_string,
        select,
        system,
        system_begin,
        system_end,
        user,
        user_begin,
        user_end,
    )
    from .lang.backend.anthropic import Anthropic
    from .lang.backend.base import Backend, Capabilities
    from .lang.backend.crusoe import Crusoe
    from .lang.backend.litellm import LiteLLM
    from .lang.backend.openai import OpenAI
    from .lang.backend.runtime_endpoint import RuntimeEndpoint
    from .lang.backend.sglang import SGLang
    from .lang.backend.vertexai import VertexAI
    from .lang.batch import BatchError
    from .lang.chat_template import (
        ChatTemplate,
        get_chat_template,
        get_chat_template_by_model_path,
        register_chat_template,
        register_chat_template_matching_function,
    )
    from .lang.checkpoint import CheckpointError
    from .lang.choices import (
        ChoicesDecision,
        ChoicesSamplingMethod,
        greedy_token_selection,
        token_length_normalized,
        unconditional_likelihood_normalized,
    )
    from .lang.config import flush_cache, get_server_info, global_config, set_default_backend
    from .lang.errors import (
        Cancelled,
        ContextLengthExceeded,
        GenerationError,
        GrammarError,
        InternalError,
        InvalidRequest,
        Overloaded,
        RuntimeUnavailable,
        TimeoutExceeded,
    )
    from .lang.forms import Island
    from .lang.function import Function, function
    from .lang.group import ProgramStateGroup
    from .lang.media import image, video
    from .lang.pins import Pin, pin
    from .lang.reasoned import separate_reasoning
    from .lang.retry import Retry
    from .lang.runtime import Runtime
    from .lang.schema import schema_outline
    from .lang.schema_tools import tool_from_schema
    from .lang.server_args import ServerArgs
    from .lang.shortcuts import classify, extract
    from .lang.state import ProgramState
    from .lang.timeline import Timeline, TimelineRow
    from .lang.tool_calls import ToolCall, tool_call, tool_list
    from .lang.tool_run import ToolResult
    from .lang.tools import Tool, tool
    from .lang.values import InvalidOutput
    from .runtime.tool_formats import ToolFormat, get_tool_format, register_tool_format

__all__ = [
    "Anthropic",
    "Backend",
    "BatchError",
    "Cancelled",
    "Capabilities",
    "ChatTemplate",
    "CheckpointError",
    "ChoicesDecision",
    "ChoicesSamplingMethod",
    "ContextLengthExceeded",
    "Crusoe",
    "Engine",
    "Function",
    "GenerationError",
    "GrammarError",
    "GrammarReport",
    "InternalError",
    "InvalidOutput",
    "InvalidRequest",
    "Island",
    "LiteLLM",
    "OpenAI",
    "Overloaded",
    "Pin",
    "ProgramState",
    "ProgramStateGroup",
    "Retry",
    "Runtime",
    "RuntimeEndpoint",
    "RuntimeUnavailable",
    "SGLang",
    "ServerArgs",
    "Timeline",
    "TimelineRow",
    "TimeoutExceeded",
    "Tool",
    "ToolCall",
    "ToolFormat",
    "ToolResult",
    "VertexAI",
    "agent_loop",
    "agent_loop_async",
    "assistant",
    "assistant_begin",
    "assistant_end",
    "check_grammar",
    "classify",
    "extract",
    "flush_cache",
    "function",
    "gen",
    "gen_int",
    "gen_string",
    "get_chat_template",
    "get_chat_template_by_model_path",
    "get_server_info",
    "get_tool_format",
    "global_config",
    "greedy_token_selection",
    "image",
    "pin",
    "register_chat_template",
    "register_chat_template_matching_function",
    "register_tool_format",
    "schema_outline",
    "select",
    "separate_reasoning",
    "set_default_backend",
    "system",
    "system_begin",
    "system_end",
    "token_length_normalized",
    "tool",
    "tool_call",
    "tool_from_schema",
    "tool_list",
    "unconditional_likelihood_normalized",
    "user",
    "user_begin",
    "user_end",
    "video",
]

_MODULES = {
    "engine": ("Engine",),
    "grammar_check": ("GrammarReport", "check_grammar"),
    "lang.agents": (
        "agent_loop",
        "agent_loop_async",
    ),
    "lang.api": (
        "assistant",
        "assistant_begin",
        "assistant_end",
        "gen",
        "gen_int",
        "gen_string",
        "select",
        "system",
        "system_begin",
        "system_end",
        "user",
        "user_begin",
        "user_end",
    ),
    "lang.backend.anthropic": ("Anthropic",),
    "lang.backend.base": (
        "Backend",
        "Capabilities",
    ),
    "lang.backend.crusoe": ("Crusoe",),
    "lang.backend.vertexai": ("VertexAI",),
    "lang.backend.litellm": ("LiteLLM",),
    "lang.backend.openai": ("OpenAI",),
    "lang.backend.runtime_endpoint": ("RuntimeEndpoint",),
    "lang.backend.sglang": ("SGLang",),
    "lang.batch": ("BatchError",),
    "lang.chat_template": (
        "ChatTemplate",
        "get_chat_template",
        "get_chat_template_by_model_path",
        "register_chat_template",
        "register_chat_template_matching_function",
    ),
    "lang.checkpoint": ("CheckpointError",),
    "lang.choices": (
        "ChoicesDecision",
        "ChoicesSamplingMethod",
        "greedy_token_selection",
        "token_length_normalized",
        "unconditional_likelihood_normalized",
    ),
    "lang.config": (
        "flush_cache",
        "get_server_info",
        "global_config",
        "set_default_backend",
    ),
    "lang.errors": (
        "Cancelled",
        "ContextLengthExceeded",
        "GenerationError",
        "GrammarError",
        "InternalError",
        "InvalidRequest",
        "Overloaded",
        "RuntimeUnavailable",
        "TimeoutExceeded",
    ),
    "lang.forms": ("Island",),
    "lang.function": (
        "Function",
        "function",
    ),
    "lang.group": ("ProgramStateGroup",),
    "lang.media": (
        "image",
        "video",
    ),
    "lang.pins": ("Pin", "pin"),
    "lang.reasoned": ("separate_reasoning",),
    "lang.retry": ("Retry",),
    "lang.runtime": ("Runtime",),
    "lang.schema": ("schema_outline",),
    "lang.schema_tools": ("tool_from_schema",),
    "lang.server_args": ("ServerArgs",),
    "lang.shortcuts": (
        "classify",
        "extract",
    ),
    "lang.state": ("ProgramState",),
    "lang.timeline": ("Timeline", "TimelineRow"),
    "lang.tool_calls": (
        "ToolCall",
        "tool_call",
        "tool_list",
    ),
    "runtime.tool_formats": (
        "ToolFormat",
        "get_tool_format",
        "register_tool_format",
    ),
    "lang.tool_run": ("ToolResult",),
    "lang.tools": (
        "Tool",
        "tool",
    ),
    "lang.values": ("InvalidOutput",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        # With both, Python tells the name that may have been meant.
        module_itself = sys.modules[__name__]
        message = f"module 'branchline' has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=module_itself)
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
