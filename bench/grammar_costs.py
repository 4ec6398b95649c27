"""What grammars cost with a real vocabulary: compiling, masks token by token, and how many tokens
need no sampling. Called by bench.grammar."""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.grammar_data import Case, spelled
from bench.grammar_order import SchemaOrder
from bench.report import Report
from branchline.runtime.constrained.base import Grammar
from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import JsonSchema, Regex
from branchline.runtime.tokenizer import Tokenizer

REGEXES = (
    "yes|no",
    r"\d{4}-\d{2}-\d{2}",
    r"((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)",
    "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    r"[\w.+-]+@[\w-]+(\.[\w-]+)+",
    "([A-Z][a-z]+ ){1,8}[A-Z][a-z]+",
    r"[^\n]{1,120}\n",
    r"\w+( \w+)*",
    "[a-z0-9]{1,1000}",
    "[ab]*a[ab]{12}",
    r"[-+]?[0-9]*\.?[0-9]+([eE][-+]?[0-9]+)?",
    "(a|ab|abc)+",
)
LONG_STRING = json.dumps({"type": "string", "minLength": 1, "maxLength": 2_000})


def measure_costs(report: Report, path: Path, every: list[Case], quick: bool) -> None:
    """Rows for one tokenizer, on schemas with a valid value each."""
    spec = json.loads(path.read_text())
    tokenizer = Tokenizer(spec, eos_ids=(_end_of(spec),))
    sample = every[:: max(1, len(every) // (60 if quick else 300))]
    vocab_size = tokenizer.vocab_size
    name = f"vocabulary of {vocab_size}"
    compiler = GrammarCompiler(tokenizer, vocab_size)
    grammars, compile_ms = _compiled(compiler, sample)
    _quantiles(report, f"{name}, branchline: compile", compile_ms, "ms", (5, 100, 2_000))
    first, again, shares = _masks(tokenizer, grammars)
    _quantiles(report, f"{name}, branchline: first mask", first, "us", (None, 300, 1_700))
    report.add(
        f"{name}, branchline: mask met before p50",
        statistics.median(again),
        "us",
        goal=3,
        at_most=True,
    )
    report.add(f"{name}, branchline: forced tokens", 100 * shares, "%", goal=35)
    started = time.thread_time()
    compiler.compile(JsonSchema(LONG_STRING))
    took_ms = 1e3 * (time.thread_time() - started)
    metric = f"{name}, branchline: compile a string of 1 to 2,000 characters"
    report.add(metric, took_ms, "ms", goal=50, at_most=True)
    _regex_rows(report, f"{name}, branchline: regex and first mask", compiler, vocab_size)
    _peers(report, name, tokenizer, sample)


def _end_of(spec: dict[str, Any]) -> int:
    """The id of the token that ends an output, by its name."""
    ids = {token["content"]: token["id"] for token in spec["added_tokens"]}
    names = ("</s>", "<|endoftext|>", "<|end|>", "<|im_end|>", "<|eot_id|>", "<eos>")
    found = next((name for name in names if name in ids), None)
    if found is None:
        raise SystemExit(f"the tokenizer has none of the end tokens {', '.join(names)}")
    return int(ids[found])


def _compiled(
    compiler: GrammarCompiler, sample: list[Case]
) -> tuple[list[tuple[Case, Grammar]], list[float]]:
    grammars, took_ms = [], []
    for case in sample:
        started = time.thread_time()
        try:
            grammar = compiler.compile(JsonSchema(json.dumps(case.schema)))
        except RequestError:
            continue
        took_ms.append(1e3 * (time.thread_time() - started))
        grammars.append((case, grammar))
    return grammars, took_ms


def _masks(
    tokenizer: Tokenizer, grammars: list[tuple[Case, Grammar]]
) -> tuple[list[float], list[float], float]:
    """Microseconds of each mask on the way through a valid value, and on the way through it once
    more; the share of tokens that were forced."""
    row = np.empty(-(-tokenizer.vocab_size // 32), np.int32)
    first: list[float] = []
    again: list[float] = []
    num_forced = num_tokens = 0
    for case, grammar in grammars:
        ids = _value_ids(tokenizer, case, grammar)
        if ids is None:
            continue
        for times in (first, again):
            matcher = grammar.matcher()
            for token in ids:
                started = time.thread_time_ns()
                matcher.fill_mask(row)
                times.append((time.thread_time_ns() - started) / 1e3)
                matcher.accept(token)
        num_tokens += len(ids)
        num_forced += _num_forced(grammar, ids)
    return first, again, num_forced / max(num_tokens, 1)


def _value_ids(tokenizer: Tokenizer, case: Case, grammar: Grammar) -> list[int] | None:
    """Tokens of the first valid value that the grammar takes."""
    order = SchemaOrder(case.schema)
    for valid, value in case.tests:
        text = spelled(order.of(value)) if valid else None
        if text is None:
            continue
        ids = tokenizer.encode_text(text.decode())
        matcher = grammar.matcher()
        if all(map(matcher.accept, ids)) and matcher.is_accepting:
            return ids
    return None


def _num_forced(grammar: Grammar, ids: list[int]) -> int:
    """How many of a value's tokens follow without sampling, as the engine takes them."""
    matcher = grammar.matcher()
    place = count = 0
    while place < len(ids):
        forced = matcher.forced(None, 1 if place else 0)
        taken = forced.token_ids[forced.num_respelled :]
        if taken and taken == ids[place : place + len(taken)]:
            count += len(taken)
        else:
            taken = [ids[place]]
        for token in taken:
            matcher.accept(token)
        place += len(taken)
    return count


def _regex_rows(report: Report, metric: str, compiler: GrammarCompiler, vocab_size: int) -> None:
    row = np.empty(-(-vocab_size // 32), np.int32)
    took_ms = []
    for pattern in REGEXES:
        started = time.thread_time()
        compiler.compile(Regex(pattern)).matcher().fill_mask(row)
        took_ms.append(1e3 * (time.thread_time() - started))
    _quantiles(report, metric, took_ms, "ms", (None, 64, None))


def _peers(report: Report, name: str, tokenizer: Tokenizer, sample: list[Case]) -> None:
    for peer, masks in (("xgrammar, loose", _xgrammar), ("llguidance", _llguidance)):
        if importlib.util.find_spec(peer.split(",")[0]) is None:
            print(f"{peer} is not installed: left out")
            continue
        compile_ms: list[float] = []
        mask_us: list[float] = []
        for kind, value in masks(tokenizer, sample):
            (compile_ms if kind == "compile" else mask_us).append(value)
        _quantiles(report, f"{name}, {peer}: compile", compile_ms, "ms", (None, None, None))
        _quantiles(report, f"{name}, {peer}: mask", mask_us, "us", (None, None, None))


def _texts(case: Case) -> Iterator[str]:
    order = SchemaOrder(case.schema)
    for valid, value in case.tests:
        text = spelled(order.of(value)) if valid else None
        if text is not None:
            yield text.decode()
            return


def _table(tokenizer: Tokenizer) -> list[bytes]:
    special = tokenizer.control_ids | set(tokenizer.eos_ids)
    return [b"" if index in special else data for index, data in enumerate(tokenizer.token_bytes)]


def _xgrammar(tokenizer: Tokenizer, sample: list[Case]) -> Iterator[tuple[str, float]]:
    import xgrammar

    info = xgrammar.TokenizerInfo(
        _table(tokenizer), xgrammar.VocabType.RAW, stop_token_ids=list(tokenizer.eos_ids)
    )
    compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
    mask = xgrammar.allocate_token_bitmask(1, tokenizer.vocab_size)
    for case in sample:
        started = time.thread_time()
        try:
            compiled = compiler.compile_json_schema(json.dumps(case.schema), strict_mode=False)
        except (RuntimeError, ValueError):
            continue
        yield "compile", 1e3 * (time.thread_time() - started)
        for text in _texts(case):
            matcher = xgrammar.GrammarMatcher(compiled)
            for token in tokenizer.encode_text(text):
                begun = time.thread_time_ns()
                matcher.fill_next_token_bitmask(mask)
                yield "mask", (time.thread_time_ns() - begun) / 1e3
                if not matcher.accept_token(token):
                    break


def _llguidance(tokenizer: Tokenizer, sample: list[Case]) -> Iterator[tuple[str, float]]:
    import llguidance

    table = _table(tokenizer)

    class Wrapped:
        """The tokenizer as llguidance takes one."""

        eos_token_id = tokenizer.eos_ids[0]
        bos_token_id = None
        tokens = table
        special_token_ids = sorted(tokenizer.control_ids | set(tokenizer.eos_ids))

        def __call__(self, text: str | bytes) -> list[int]:
            return tokenizer.encode_text(text if isinstance(text, str) else text.decode())

    wrapped = llguidance.LLTokenizer(
        llguidance.TokenizerWrapper(Wrapped()), n_vocab=tokenizer.vocab_size
    )
    mask = np.zeros(-(-tokenizer.vocab_size // 32), np.int32)
    for case in sample:
        started = time.thread_time()
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(case.schema))
        matcher = llguidance.LLMatcher(wrapped, grammar)
        if matcher.is_error():
            continue
        yield "compile", 1e3 * (time.thread_time() - started)
        for text in _texts(case):
            for token in tokenizer.encode_text(text):
                begun = time.thread_time_ns()
                matcher.unsafe_compute_mask_ptr(mask.ctypes.data, mask.nbytes)
                yield "mask", (time.thread_time_ns() - begun) / 1e3
                if matcher.try_consume_tokens([token]) != 1:
                    break


def _quantiles(
    report: Report,
    metric: str,
    values: list[float],
    unit: str,
    goals: tuple[float | None, float | None, float | None],
) -> None:
    """p50, p99 and the worst (of masks: p99.9), each of which is to be at most its goal."""
    ordered = sorted(values)
    if not ordered:
        return
    last = ("p99.9", 0.999) if unit == "us" else ("worst", 1.0)
    for (label, share), goal in zip((("p50", 0.5), ("p99", 0.99), last), goals, strict=True):
        value = ordered[int(share * (len(ordered) - 1))]
        report.add(f"{metric} {label}", value, unit, goal=goal, at_most=True)
