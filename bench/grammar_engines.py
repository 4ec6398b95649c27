"""The engines that bench.grammar compares: each builds, from a schema, a function that says whether
a JSON text is accepted; `Refused` where the engine will not."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from typing import Any

Accepts = Callable[[bytes], bool]
Build = Callable[[Any], Accepts]


class Refused(Exception):
    """The engine does not take the schema."""


def _ours(*, checked: bool = False, **options: bool) -> Callable[[], Build | None]:
    """checked: where the report names something that is not enforced, a value that the grammar
    takes is held against the schema, as the runtime does with `on_unsupported="validate"`."""

    def make() -> Build:
        from branchline.runtime.constrained.judging import fault
        from branchline.runtime.constrained.limits import GrammarLimits
        from branchline.runtime.constrained.machine_library import machine_library
        from branchline.runtime.constrained.machine_masks import Machine
        from branchline.runtime.constrained.schema import Reading, schema_language
        from branchline.runtime.constrained.shaping import shaped
        from branchline.runtime.constrained.vocabulary import Vocabulary
        from branchline.runtime.constrained.walker import Walker
        from branchline.runtime.errors import RequestError
        from branchline.runtime.protocol import JsonSchema

        limits, reading = GrammarLimits(), Reading(**options)
        library = machine_library()
        vocabulary = Vocabulary([bytes([byte]) for byte in range(256)])

        def build(schema: Any) -> Accepts:
            try:
                language = schema_language(json.dumps(schema), limits, reading)
                made = shaped(language, vocabulary, limits, "auto", True, library is not None)
            except RequestError as error:
                raise Refused(error.message) from None
            matches: Accepts
            if made.machine is not None:
                machine = Machine(library, made.machine, 0)

                def matches(text: bytes) -> bool:
                    state = machine.walk(machine.start, text)
                    return state is not None and machine.is_accepting(state)
            else:
                assert made.graph is not None
                walker = Walker.over(made.graph)

                def matches(text: bytes) -> bool:
                    state = walker.walk(walker.start, text)
                    return state is not None and state.accepting

            exact = all(entry.state != "superset" for entry in language.report)

            def accepts(text: bytes) -> bool:
                try:
                    taken = matches(text)
                except RequestError as error:  # too many ways to read it
                    raise Refused(error.message) from None
                if taken and checked and not exact:
                    return not fault(JsonSchema(json.dumps(schema)), text.decode())
                return taken

            return accepts

        return build

    return make


def _xgrammar(strict: bool) -> Callable[[], Build | None]:
    def make() -> Build | None:
        if importlib.util.find_spec("xgrammar") is None:
            return None
        import xgrammar

        table = [bytes([byte]) for byte in range(256)] + [b""]
        info = xgrammar.TokenizerInfo(table, xgrammar.VocabType.RAW, stop_token_ids=[256])
        compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)

        def build(schema: Any) -> Accepts:
            try:
                grammar = compiler.compile_json_schema(json.dumps(schema), strict_mode=strict)
            except (RuntimeError, ValueError) as error:
                raise Refused(str(error)[:200]) from None

            def accepts(text: bytes) -> bool:
                matcher = xgrammar.GrammarMatcher(grammar)
                return bool(matcher.accept_string(text) and matcher.is_completed())

            return accepts

        return build

    return make


def _outlines() -> Build | None:
    if importlib.util.find_spec("outlines_core") is None:
        return None
    import re

    from outlines_core.json_schema import build_regex_from_schema

    def build(schema: Any) -> Accepts:
        # Its automaton is wrong on some languages; what it means is the regular expression.
        try:
            pattern = re.compile(build_regex_from_schema(json.dumps(schema)))
        except Exception as error:  # it raises bare Exceptions, and re what it likes
            raise Refused(str(error)[:200]) from None
        return lambda text: pattern.fullmatch(text.decode()) is not None

    return build


def _llguidance() -> Build | None:
    if importlib.util.find_spec("llguidance") is None:
        return None
    import llguidance

    class Bytes:
        """A tokenizer of single bytes."""

        eos_token_id = 256
        bos_token_id = None

        def __init__(self) -> None:
            self.tokens = [*(bytes([byte]) for byte in range(256)), b"<end>"]
            self.special_token_ids = [256]

        def __call__(self, text: str | bytes) -> list[int]:
            return list(text.encode() if isinstance(text, str) else text)

    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Bytes()), n_vocab=257)

    def build(schema: Any) -> Accepts:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
        first = llguidance.LLMatcher(tokenizer, grammar)
        if first.is_error():
            raise Refused(first.get_error()[:200])

        def accepts(text: bytes) -> bool:
            matcher = llguidance.LLMatcher(tokenizer, grammar)
            taken = matcher.try_consume_tokens(list(text))
            return bool(taken == len(text) and matcher.is_accepting())

        return accepts

    return build


ENGINES: dict[str, Callable[[], Build | None]] = {
    "branchline": _ours(closed=False, any_order=True),
    "branchline, declared order": _ours(closed=False),
    "branchline, validate": _ours(closed=False, any_order=True, lenient=True, checked=True),
    "xgrammar": _xgrammar(strict=True),
    "xgrammar, loose": _xgrammar(strict=False),
    "outlines_core": _outlines,
    "llguidance": _llguidance,
}
