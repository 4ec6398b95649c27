"""The cache of compiled grammars: bounded, shared between threads, honest about errors."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from branchline.runtime.constrained.compiler import GrammarCompiler
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, JsonSchema, Regex


def test_an_equal_constraint_is_compiled_once(tokenizer):
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size)
    assert compiler.compile(Choices(["a", "b"])) is compiler.compile(Choices(["a", "b"]))
    assert compiler.compile(Choices(["a"])) is not compiler.compile(Regex("a"))
    assert compiler.hits == 1


def test_the_cache_stays_under_its_bytes_and_forgets_the_oldest(tokenizer):
    limit = 150_000
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, GrammarLimits(cache_bytes=limit))
    first = compiler.compile(Regex("first"))
    for index in range(40):
        compiler.compile(Regex(f"[a-z]{{1,5}}{index}"))
        assert compiler.cached_bytes <= limit
    assert compiler.compile(Regex("first")) is not first
    assert compiler.compile(Regex("[a-z]{1,5}39")) is compiler.compile(Regex("[a-z]{1,5}39"))


def test_a_grammar_that_grew_is_weighed_when_it_is_asked_for_again(tokenizer, generate):
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size)
    constraint = JsonSchema('{"type":"string","maxLength":500}')
    grammar = compiler.compile(constraint)
    before = compiler.cached_bytes
    generate(grammar, 100, 1)
    assert compiler.compile(constraint) is grammar
    assert compiler.cached_bytes - before > 4 * 1_024  # tens of bytes a state


def test_a_grammar_that_grew_is_weighed_when_many_others_were_asked_for(tokenizer, generate):
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size)
    grammar = compiler.compile(JsonSchema('{"type":"string","maxLength":500}'))
    generate(grammar, 100, 1)
    size, before = grammar.num_bytes, compiler.cached_bytes
    other = compiler.compile(Regex("other"))
    assert compiler.cached_bytes - before < other.num_bytes + 1_000
    for _ in range(200):
        compiler.compile(Regex("other"))
    assert compiler.cached_bytes - before > size // 2


def test_masks_are_kept_within_the_same_bytes(tokenizer, generate):
    limit = 600_000
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, GrammarLimits(cache_bytes=limit))
    without = 0
    for index in range(30):
        generate(compiler.compile(Regex(f"[a-z]{{1,5}}{index}")), 20, 1)
        assert compiler.compile(Regex("a")) is not None
        assert compiler.cached_bytes <= limit
        without = max(without, compiler._entry_bytes)
    assert compiler.cached_bytes - compiler._entry_bytes > 10_000
    assert without < limit


def test_a_grammar_in_use_outlives_its_place_in_the_cache(tokenizer):
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, GrammarLimits(cache_bytes=1))
    matcher = compiler.compile(Choices(["ab"])).matcher()
    compiler.compile(Regex("x"))
    assert compiler.cached_bytes <= 1
    assert all(matcher.accept(token) for token in tokenizer.encode_text("ab"))
    assert matcher.finished


def test_threads_that_want_the_same_grammar_share_one_compilation(tokenizer, monkeypatch):
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size)
    inner = compiler._engine.compile
    started, release, runs = threading.Event(), threading.Event(), []

    def held(language, *others):
        runs.append(language)
        started.set()
        assert release.wait(30)
        return inner(language, *others)

    monkeypatch.setattr(compiler._engine, "compile", held)
    constraint = JsonSchema('{"type":"integer"}')
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(compiler.compile, constraint)
        assert started.wait(30)
        others = [pool.submit(compiler.compile, constraint) for _ in range(7)]
        release.set()
        grammars = {id(task.result()) for task in [first, *others]}
    assert len(grammars) == 1
    assert len(runs) == 1


def test_many_threads_compile_and_match_different_grammars(compiler, generate):
    def work(number: int) -> str:
        grammar = compiler.compile(Regex(f"{number}[a-z]{{1,4}}"))
        return generate(grammar, 8, number)

    with ThreadPoolExecutor(6) as pool:
        for number, text in enumerate(pool.map(work, range(30))):
            assert text.startswith(str(number))


def test_a_refusal_is_the_same_the_second_time(compiler):
    for _ in range(2):
        with pytest.raises(RequestError, match="backreferences"):
            compiler.compile(Regex(r"(a)\1"))


def test_a_defect_is_not_remembered(tokenizer, monkeypatch):
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size)
    with monkeypatch.context() as patch:
        patch.setattr(compiler._engine, "compile", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            compiler.compile(Choices(["a"]))
    assert compiler.compile(Choices(["a"])).min_tokens == 1


def test_a_refusal_that_is_kept_does_not_keep_who_asked(tokenizer):
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size)
    lengths = []
    for _ in range(3):
        with pytest.raises(RequestError) as raised:
            compiler.compile(Regex(r"(a)\1"))
        lengths.append(len(raised.traceback))
    assert lengths[1] == lengths[2]
    assert compiler.hits == 2
