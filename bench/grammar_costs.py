"""What grammars cost with a real vocabulary: compiling, masks token by token, and how many tokens
need no sampling. Called by bench.grammar."""

from __future__ import annotations

import gc
import importlib.util
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.grammar_data import Case, spelled
from bench.grammar_forced import num_forceable
from bench.grammar_order import SchemaOrder
from bench.grammar_peers import LIMIT_S, PEERS, Peer
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
# Each token of a value is tried against a dozen other values as long.
_MOST_BOUNDED = 300
LONG_STRING = json.dumps({"type": "string", "minLength": 1, "maxLength": 2_000})


def measure_costs(report: Report, path: Path, every: list[Case], quick: bool) -> None:
    """Rows for one tokenizer, on schemas with a valid value each."""
    spec = json.loads(path.read_text())
    tokenizer = Tokenizer(spec, eos_ids=(_end_of(spec),))
    sample = every[:: max(1, len(every) // (60 if quick else 300))]
    vocab_size = tokenizer.vocab_size
    name = f"vocabulary of {vocab_size}"
    compiler = GrammarCompiler(tokenizer, vocab_size)
    compiler.warm()
    gc.collect()
    gc.freeze()
    grammars, compile_ms = _compiled(compiler, sample)
    _quantiles(report, f"{name}, branchline: compile", compile_ms, "ms", (5, 100, 2_000))
    first, again = _masks(tokenizer, grammars)
    _quantiles(report, f"{name}, branchline: first mask", first, "us", (None, 300, 1_700))
    report.add(
        f"{name}, branchline: mask met before p50",
        statistics.median(again),
        "us",
        goal=3,
        at_most=True,
    )
    _forced_rows(report, f"{name}, branchline", tokenizer, grammars)
    started = time.thread_time()
    compiler.compile(JsonSchema(LONG_STRING))
    took_ms = 1e3 * (time.thread_time() - started)
    metric = f"{name}, branchline: compile a string of 1 to 2,000 characters"
    report.add(metric, took_ms, "ms", goal=50, at_most=True)
    _regex_rows(report, f"{name}, branchline: regex and first mask", compiler, vocab_size)
    for peer in PEERS:
        if importlib.util.find_spec(peer.package) is None:
            print(f"{peer.package} is not installed: left out")
            continue
        _peer_rows(report, f"{name}, {peer.package}", peer(tokenizer), sample)


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
        # As in the process that compiles (constrained/worker.py).
        gc.disable()
        started = time.thread_time()
        try:
            grammar = compiler.compile(JsonSchema(json.dumps(case.schema)))
        except RequestError:
            continue
        finally:
            gc.enable()
        took_ms.append(1e3 * (time.thread_time() - started))
        grammars.append((case, grammar))
    return grammars, took_ms


def _masks(
    tokenizer: Tokenizer, grammars: list[tuple[Case, Grammar]]
) -> tuple[list[float], list[float]]:
    """Microseconds of each mask on the way through a valid value, and on the way through it once
    more."""
    row = np.empty(-(-tokenizer.vocab_size // 32), np.int32)
    first: list[float] = []
    again: list[float] = []
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
    return first, again


def _forced_rows(
    report: Report, name: str, tokenizer: Tokenizer, grammars: list[tuple[Case, Grammar]]
) -> None:
    """The share of tokens that were forced; of values that are not too long also what share any
    engine could force at most."""
    whole, short = Counter[str](), Counter[str]()
    for case, grammar in grammars:
        ids = _value_ids(tokenizer, case, grammar)
        if ids is None:
            continue
        forced = num_forced(grammar, ids)
        whole.update(tokens=len(ids), forced=forced)
        if len(ids) <= _MOST_BOUNDED:
            most = num_forceable(tokenizer, grammar, ids)
            short.update(tokens=len(ids), forced=forced, most=most)
    share = 100 * whole["forced"] / max(whole["tokens"], 1)
    report.add(f"{name}: forced tokens", share, "%", goal=35)
    ours = 100 * short["forced"] / max(short["tokens"], 1)
    report.add(
        f"{name}: tokens that any engine could force, at most",
        100 * short["most"] / max(short["tokens"], 1),
        "%",
        detail=f"values up to {_MOST_BOUNDED} tokens, of which ours forces {ours:.1f} %",
    )


def _value_ids(tokenizer: Tokenizer, case: Case, grammar: Grammar) -> list[int] | None:
    """Tokens of the first valid value that the grammar takes."""
    order = SchemaOrder(case.schema)
    for valid, value in case.tests:
        text = spelled(order.of(value)) if valid else None
        if text is None:
            continue
        ids = tokenizer.encode_text(text.decode())
        matcher = grammar.matcher()
        with suppress(RequestError):  # it can be read in too many ways
            if all(map(matcher.accept, ids)) and matcher.is_accepting:
                return ids
    return None


def num_forced(grammar: Grammar, ids: list[int]) -> int:
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


def _peer_rows(report: Report, name: str, peer: Peer, sample: list[Case]) -> None:
    """What of `measure_costs` a peer can do; where it takes too long, it is stopped and counted."""
    compile_ms: list[float] = []
    mask_us: list[float] = []
    if peer.takes_schemas:
        for case in sample:
            text = next(_texts(case), None)
            found = peer.schema(json.dumps(case.schema), text)
            if found is not None:
                compile_ms.append(found[0])
                mask_us += found[1]
        _quantiles(report, f"{name}: compile", compile_ms, "ms", (None, None, None))
        _quantiles(report, f"{name}: mask", mask_us, "us", (None, None, None))
        long = peer.schema(LONG_STRING, None)
        if long is not None:
            report.add(f"{name}: compile a string of 1 to 2,000 characters", long[0], "ms")
    found_ms = [peer.regex(pattern) for pattern in REGEXES]
    took_ms = [took for took in found_ms if took is not None]
    detail = f"{len(REGEXES) - len(took_ms)} of {len(REGEXES)} refused, or over {LIMIT_S} s"
    _quantiles(report, f"{name}: regex and first mask", took_ms, "ms", (None, None, None), detail)


def _texts(case: Case) -> Iterator[str]:
    order = SchemaOrder(case.schema)
    for valid, value in case.tests:
        text = spelled(order.of(value)) if valid else None
        if text is not None:
            yield text.decode()
            return


def _quantiles(
    report: Report,
    metric: str,
    values: list[float],
    unit: str,
    goals: tuple[float | None, float | None, float | None],
    detail: str = "",
) -> None:
    """Rows for p50, p99 and the last of p99.9 (microseconds) or the worst."""
    ordered = sorted(values)
    if not ordered:
        return
    last = ("p99.9", 0.999) if unit == "us" else ("worst", 1.0)
    for (label, share), goal in zip((("p50", 0.5), ("p99", 0.99), last), goals, strict=True):
        value = ordered[int(share * (len(ordered) - 1))]
        report.add(f"{metric} {label}", value, unit, goal=goal, at_most=True, detail=detail)
