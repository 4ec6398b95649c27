"""Processes for work that might not end: limits by name, recovery, languages that cross over."""

from __future__ import annotations

import json
import signal
import threading

import pytest

from branchline.runtime.constrained.compiler import GrammarCompiler, build_language
from branchline.runtime.constrained.jobs import Build, Job, Judge, Shape, Try
from branchline.runtime.constrained.language_codec import decode_language, encode_language
from branchline.runtime.constrained.limits import GrammarLimits
from branchline.runtime.constrained.shaping import decode_shaped
from branchline.runtime.constrained.walker import Walker
from branchline.runtime.constrained.workers import Workers, _Worker
from branchline.runtime.errors import RequestError
from branchline.runtime.protocol import Choices, Ebnf, Island, Islands, JsonSchema, Regex

# Seconds of work in large automata, none of which reaches a limit of its own.
HEAVY = JsonSchema(
    json.dumps(
        {
            "properties": {
                str(i): {"type": "string", "pattern": "[ab]*a[ab]{11}", "maxLength": 200 + i}
                for i in range(20)
            }
        }
    )
)
LIGHT = Regex("a+")
RECORD = JsonSchema(
    json.dumps(
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 2, "maxLength": 300, "title": "Name"},
                "tree": {"$ref": "#/$defs/node"},
                "price": {"type": "number", "minimum": 0.5},
            },
            "required": ["name"],
            "$defs": {
                "node": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2000}
            },
        }
    )
)


@pytest.fixture(scope="module")
def workers():
    shared = Workers(GrammarLimits())
    yield shared
    shared.close()


@pytest.mark.parametrize(
    "constraint",
    [
        RECORD,
        Regex("(a|é){2,5}[^x]*"),
        Ebnf('root ::= "(" root ")" | ""'),
        Islands([Island("<n>", Regex("[0-9]+"))]),
    ],
    ids=lambda item: type(item).__name__,
)
def test_a_language_comes_back_as_it_was(constraint):
    language = build_language(constraint, GrammarLimits())
    data = encode_language(language)
    back = decode_language(data)
    assert encode_language(back) == data
    assert back.report == language.report


def test_what_is_taken_apart_elsewhere_gives_the_same_grammar(workers, tokenizer, accepts):
    there = GrammarCompiler(tokenizer, tokenizer.vocab_size + 40, workers=workers).compile(RECORD)
    here = GrammarCompiler(tokenizer, tokenizer.vocab_size + 40).compile(RECORD)
    assert there.report == here.report
    assert there.min_tokens == here.min_tokens
    for text in ('{"name":"ab","tree":[[],[]],"price":0.5}', '{"name":"a"}', '{"name":"abc"}'):
        assert accepts(there, text) == accepts(here, text)
    assert workers.num_started == 1


def test_a_refusal_keeps_its_place_on_the_way(workers):
    with pytest.raises(RequestError, match="backreferences"):
        workers.run(Build(Regex(r"(a)\1"), GrammarLimits()))
    with pytest.raises(RequestError) as caught:
        workers.run(Build(JsonSchema('{"properties":{"a":{"minLength":-1}}}'), GrammarLimits()))
    assert caught.value.pointer == "#/properties/a/minLength"


def test_what_python_says_of_a_pattern_is_not_logged(capfd):
    workers = Workers(GrammarLimits())
    workers.run(Build(Regex("[[a]"), GrammarLimits()))
    workers.close()
    assert capfd.readouterr().err == ""


def test_a_vocabulary_is_sent_once_and_known_beside_others(workers):
    limits = GrammarLimits()
    single = [bytes([byte]) for byte in range(256)]
    double = [*single, b"aa"]
    costs = []
    for token_bytes in (single, double, single, double):
        job = Shape(
            Choices(["aa"]),
            limits,
            {},
            "native",
            falls_back=False,
            has_machine=False,
            token_bytes=token_bytes,
        )
        data = workers.run(job)
        costs.append(Walker.over(decode_shaped(data).graph).start.cost)
        assert workers.run(Try('root ::= "a"', token_bytes)) == b""
    assert costs == [2, 1, 2, 1]
    (worker,) = workers._idle
    assert [*worker._sent.values()].count(single) == 1


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (GrammarLimits(max_compile_s=0.05), r"limit of 0.05 s of processor time \(max_compile_s\)"),
        (
            GrammarLimits(max_compile_s=60, max_compile_bytes=4 << 20),
            r"limit of 4 MiB \(max_compile_bytes\)",
        ),
    ],
    ids=["time", "memory"],
)
def test_work_that_reaches_a_limit_is_ended_by_its_name_and_the_next_is_served(limits, told):
    workers = Workers(limits)
    with pytest.raises(RequestError, match=told) as caught:
        workers.run(Build(HEAVY, GrammarLimits()))
    assert caught.value.code == "grammar"
    assert (workers.num_killed, workers.num_started) == (1, 2)  # the next one starts at once
    language = decode_language(workers.run(Build(LIGHT, GrammarLimits())))
    assert language.rules == {}
    assert (workers.num_killed, workers.num_started) == (1, 2)
    workers.close()


def test_a_constraint_over_the_wire_s_limits_is_refused_and_its_process_stays(workers):
    killed = workers.num_killed
    with pytest.raises(RequestError, match="length <= 262144"):
        workers.run(Build(JsonSchema(json.dumps({"title": "x" * 300_000})), GrammarLimits()))
    assert workers.num_killed == killed


@pytest.mark.parametrize("size", [1, 250_000], ids=["reading", "writing"])
def test_a_process_that_stands_still_is_given_up(size):
    worker = _Worker()
    worker._process.send_signal(signal.SIGSTOP)
    work = Build(JsonSchema(json.dumps({"title": "x" * size})), GrammarLimits())
    assert worker.ask(Job(work, 1.0, 0), patience_s=0.05) == "time"
    assert worker._process.poll() == -signal.SIGKILL


def test_a_job_takes_no_thread_of_its_own(workers, monkeypatch):
    workers.run(Build(LIGHT, GrammarLimits()))

    def started(thread):
        raise AssertionError("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", started)
    workers.run(Build(LIGHT, GrammarLimits()))


def test_a_process_that_dies_fails_its_job_alone(workers):
    workers.run(Build(LIGHT, GrammarLimits()))
    (worker,) = workers._idle
    worker._process.send_signal(signal.SIGKILL)
    with pytest.raises(RequestError, match="signal 9"):
        workers.run(Build(LIGHT, GrammarLimits()))
    workers.run(Build(LIGHT, GrammarLimits()))


def test_a_refused_constraint_is_not_worked_on_again(tokenizer):
    workers = Workers(GrammarLimits(max_compile_s=0.05))
    compiler = GrammarCompiler(tokenizer, tokenizer.vocab_size, workers=workers)
    for _ in range(2):
        with pytest.raises(RequestError, match="max_compile_s"):
            compiler.compile(HEAVY)
    assert workers.num_killed == 1
    compiler.close()


@pytest.mark.parametrize(
    ("schema", "text", "told"),
    [
        ('{"multipleOf":0.1}', "0.3", "multiple of 0.1 (at #/multipleOf)"),
        ('{"items":{"uniqueItems":true}}', "[[1,1]]", "(at #/items/uniqueItems)"),
        ('{"format":"date"}', '"2023-02-29"', "(at #/format)"),
        ('{"$schema":"http://json-schema.org/draft-04/schema#","format":"x"}', "1", ""),
        ("{}", '{"a":', "not JSON"),
    ],
)
def test_a_finished_value_is_judged_by_its_schema(workers, schema, text, told):
    found = workers.run(Judge(JsonSchema(schema), text)).decode()
    assert found.endswith(told) if told.startswith("(") else told in found
    assert bool(found) == bool(told)


def test_a_pattern_that_backtracks_for_ever_ends_its_judge(workers):
    schema = JsonSchema('{"type":"string","pattern":"^(a+)+$"}')
    hurried = Workers(GrammarLimits(max_compile_s=0.3))
    with pytest.raises(RequestError, match="max_compile_s"):
        hurried.run(Judge(schema, json.dumps("a" * 40 + "b")))
    hurried.close()
