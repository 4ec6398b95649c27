"""Prompts that end inside a token: the last tokens are taken back and spelled once more."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from service_desk import Desk, only_done, only_error

from branchline.runtime.protocol import (
    Choices,
    Chunk,
    Generate,
    JsonSchema,
    Part,
    Regex,
    SamplingParams,
    Text,
    Tokens,
)


def ask(desk: Desk, *prompt: Part | str, constraint=None, stream=False, **sampling):
    """What the engine gets for a prompt."""
    parts = [Text(part) if isinstance(part, str) else part for part in prompt]
    params = SamplingParams(token_healing=True, **sampling)
    desk.ask(Generate("r", parts, params, constraint=constraint, stream=stream))
    return desk.submits()[-1]


def inside(desk: Desk) -> tuple[str, str, str]:
    """A text that is one token, its beginning, which is one, too, and its end."""
    table = {
        data.decode("utf-8", "replace"): i for i, data in enumerate(desk.tokenizer.token_bytes)
    }
    return next(
        (word, word[:cut], word[cut:])
        for word in sorted(table, key=len, reverse=True)
        for cut in range(len(word) - 1, 1, -1)
        if word.isalpha() and word[:cut] in table
    )


def test_the_token_that_the_prompt_ends_in_is_taken_back(desk: Desk) -> None:
    word, head, rest = inside(desk)
    submit = ask(desk, f"xx {head}", max_new_tokens=4)
    taken = f"xx {head}".removeprefix(desk.tokenizer.decode(submit.input_ids))
    assert taken.endswith(head)
    assert submit.constraint == Regex(f"{re.escape(taken)}(?s:.)*")
    # The output that was asked for still fits behind what is spelled once more.
    assert submit.sampling.max_new_tokens > 4
    said = desk.say(submit.sid, taken + rest + "!", end_token=True)
    [output] = only_done(desk.step(said)).outputs
    assert (output.text, output.healed_chars) == (f"{rest}!", len(taken))
    assert desk.tokenizer.decode(output.token_ids) == taken + rest + "!"
    assert word == head + rest


def test_a_stream_does_not_say_the_prompts_end_again(desk: Desk) -> None:
    _, head, rest = inside(desk)
    submit = ask(desk, f"xx {head}", stream=True)
    taken = f"xx {head}".removeprefix(desk.tokenizer.decode(submit.input_ids))
    news = desk.step(desk.say(submit.sid, taken), desk.say(submit.sid, rest))
    news += desk.step(desk.say(submit.sid, "!", end_token=True))
    texts = [message.text for message in news if isinstance(message, Chunk)]
    assert "".join(texts) == f"{rest}!"


@pytest.mark.parametrize(
    ("constraint", "held"),
    [
        (Regex("a|b"), lambda taken: Regex(f"{re.escape(taken)}(?:a|b)")),
        (Choices(["a", "b"]), lambda taken: Choices([f"{taken}a", f"{taken}b"])),
    ],
)
def test_a_constraint_holds_behind_the_prompt(desk: Desk, constraint, held) -> None:
    _, head, _ = inside(desk)
    submit = ask(desk, f"xx {head}", constraint=constraint)
    taken = f"xx {head}".removeprefix(desk.tokenizer.decode(submit.input_ids))
    assert submit.constraint == held(taken)


def test_json_is_not_healed(desk: Desk) -> None:
    _, head, _ = inside(desk)
    params = SamplingParams(token_healing=True)
    schema = JsonSchema('{"type":"integer"}')
    error = only_error(desk.ask(Generate("r", [Text(f"xx {head}")], params, constraint=schema)))
    assert (error.code, error.pointer) == ("invalid_request", "/sampling/token_healing")


@pytest.mark.parametrize(
    "ending",
    [[Tokens([70])], [Text("<|im_end|>", markup=True)], [Text("~")]],
    ids=["generated tokens", "markup", "a text that no token goes on"],
)
def test_other_prompts_stay_as_they_are(desk: Desk, ending: Sequence[Part]) -> None:
    prompt = [Text("hello "), *ending]
    submit = ask(desk, *prompt)
    assert submit.input_ids == desk.tokenizer.encode(prompt)
    assert submit.constraint is None


@pytest.mark.parametrize(
    ("stops", "is_healed"),
    [
        (lambda head: {"stop": [head[-1]]}, False),
        (lambda head: {"stop": [f"{head[-1]}!"]}, False),
        (lambda head: {"stop_regex": ["!+"]}, False),
        (lambda head: {"stop": ["!"]}, True),
    ],
)
def test_a_stop_that_may_begin_in_the_prompts_end_is_not_run_into(
    desk: Desk, stops, is_healed
) -> None:
    _, head, _ = inside(desk)
    submit = ask(desk, f"xx {head}", **stops(head))
    assert (submit.input_ids != desk.tokenizer.encode_text(f"xx {head}")) is is_healed


def test_a_session_holds_the_tokens_that_were_spelled(desk: Desk) -> None:
    _, head, rest = inside(desk)
    params = SamplingParams(token_healing=True)
    desk.ask(Generate("a", [Text(f"xx {head}")], params, keep_as=1))
    first = desk.submits()[-1]
    taken = f"xx {head}".removeprefix(desk.tokenizer.decode(first.input_ids))
    desk.step(desk.say(first.sid, taken + rest, end_token=True))
    desk.ask(Generate("b", [Text("!")], base=1))
    spell = desk.tokenizer.encode_text
    assert desk.submits()[-1].input_ids == [*first.input_ids, *spell(taken + rest), *spell("!")]
