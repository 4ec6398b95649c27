"""Iterating over text while it is generated, in threads and in coroutines."""

from __future__ import annotations

import asyncio
import threading

import pytest

import branchline as bl
from branchline.lang.cells import Cell
from branchline.runtime import protocol


@bl.function
def talk(s, question):
    s += bl.user(question)
    s += bl.assistant(bl.gen("answer", return_logprob=True))
    s += bl.select("mood", ["good", "bad"])


async def collect(iterator):
    return [piece async for piece in iterator]


def test_pieces_concatenate_to_the_text(model):
    state = talk.run("hi", backend=model, stream=True)
    pieces = list(state.text_iter())
    assert "".join(pieces) == state.text()
    assert len(pieces) > 5


def test_pieces_come_before_the_program_ends(model):
    model.hold = lambda prompt: prompt.endswith("later")

    @bl.function
    def program(s):
        s += "now" + bl.gen("a") + "later" + bl.gen("b")

    state = program.run(backend=model, stream=True)
    pieces = state.text_iter()
    assert next(pieces) == "now"
    assert "".join(state.text_iter("a")) == model.reply("now")
    model.release()
    assert "".join(["now", *pieces]) == state.text()


def test_a_variables_pieces_concatenate_to_it(model):
    state = talk.run("hi", backend=model, stream=True)
    assert "".join(state.text_iter("answer")) == state["answer"]
    assert "".join(state.text_iter("mood")) == state["mood"]


def test_pieces_are_never_empty(model):
    state = talk.run("hi", backend=model, stream=True)
    pieces = [*state.text_iter("answer"), *asyncio.run(collect(state.text_async_iter("answer")))]
    assert all([*pieces, *state.text_iter()])


def test_several_readers_see_the_same(model):
    state = talk.run("hi", backend=model, stream=True)
    readers = [state.text_iter("answer") for _ in range(3)]
    assert {"".join(reader) for reader in readers} == {state["answer"]}


def test_without_stream_the_whole_comes_at_once(model):
    state = talk.run("hi", backend=model)
    assert list(state.text_iter()) == [state.text()]
    assert list(state.text_iter("answer")) == [state["answer"]]
    assert not any(call.streamed for call in model.calls)


def test_a_body_that_reads_its_own_pieces_waits_for_no_more_than_it_has_asked_for(model):
    @bl.function
    def program(s):
        s += "x" + bl.gen("a")
        branches = s.fork(2)
        branches += "y" + bl.gen("b")
        pieces = [*branches[1].text_iter(), *s.text_iter(), *s.text_iter("nothing")]
        branches.join()
        return "".join(pieces)

    reply = model.reply
    state = program.run(backend=model, stream=True, timeout=10)
    state.sync()
    assert state.error() is None
    whole = "x" + reply("x")
    assert state.ret_value == whole + "y" + reply(whole + "y") + whole


def test_a_variable_that_the_program_never_declares_yields_one_empty_piece(model):
    state = talk.run("hi", backend=model, stream=True)
    assert list(state.text_iter("nothing")) == [""]


def test_a_plain_run_has_no_iterator_of_a_variable_that_nothing_declares(model):
    state = talk.run("hi", backend=model)
    with pytest.raises(KeyError, match="'nothing' is no variable"):
        list(state.text_iter("nothing"))
    with pytest.raises(KeyError, match="'nothing' is no variable"):
        asyncio.run(collect(state.text_async_iter("nothing")))


def test_coroutines_read_the_same_pieces(model):
    state = talk.run("hi", backend=model, stream=True)
    assert "".join(asyncio.run(collect(state.text_async_iter()))) == state.text()
    assert "".join(asyncio.run(collect(state.text_async_iter("answer")))) == state["answer"]


def test_several_coroutines_wait_for_the_same(model):
    model.hold = lambda prompt: True

    async def read():
        async def one():
            return "".join(await collect(state.text_async_iter("answer")))

        readers = [asyncio.create_task(one()) for _ in range(3)]
        await asyncio.sleep(0)
        model.release()
        return await asyncio.gather(*readers)

    state = talk.run("hi", backend=model, stream=True)
    assert asyncio.run(read()) == [state["answer"]] * 3


def test_every_piece_carries_the_log_probabilities_of_its_own_tokens(model):
    state = talk.run("hi", backend=model, stream=True)
    pieces = asyncio.run(collect(state.text_async_iter("answer", return_meta_data=True)))
    counted = 0
    for text, meta in pieces:
        assert len(meta["output_token_logprobs"]) == len(text)
        counted += len(text)
        assert meta["completion_tokens"] == counted
    assert pieces[-1][1]["finish_reason"] == {"type": "stop"}
    whole = state.get_meta_info("answer")
    assert whole is not None
    assert len(whole["output_token_logprobs"]) == counted == 8


def test_the_last_piece_carries_the_log_probabilities_of_the_prompt():
    cell = Cell("x")
    prompt, output = [(None, 1, "a")], [(-0.5, 2, "b")]
    cell.chunks.append(("b", {"output_token_logprobs": output}))
    cell.complete("b", {"input_token_logprobs": prompt, "output_token_logprobs": output})
    told = {"input_token_logprobs": prompt, "output_token_logprobs": []}
    assert cell.chunks[1:] == [("", told)]


def test_meta_data_of_the_whole_text_is_refused(model):
    state = talk.run("hi", backend=model, stream=True)
    with pytest.raises(ValueError, match="needs a variable's name"):
        asyncio.run(collect(state.text_async_iter(None, True)))  # type: ignore[call-overload]


def test_the_text_of_a_streaming_state_waits_for_its_body(model):
    @bl.function
    def program(s):
        s += "a" + bl.gen("x")
        s += s["x"]

    state = program.run(backend=model, stream=True)
    assert state.text() == "a" + model.reply("a") * 2


def test_a_failing_call_ends_the_iterators_with_its_error(model):
    model.fail = lambda prompt: bl.RuntimeUnavailable("gone") if "b" in prompt else None

    @bl.function
    def program(s):
        s += "a" + bl.gen("x", max_tokens=1) + "b" + bl.gen("y")

    model.reply = lambda prompt: "z"
    state = program.run(backend=model, stream=True)
    pieces: list[str] = []
    with pytest.raises(bl.RuntimeUnavailable):
        pieces.extend(state.text_iter("y"))
    with pytest.raises(bl.RuntimeUnavailable):
        pieces.extend(state.text_iter())
    assert "".join(pieces) == "azb"
    assert state["x"] == "z"


def test_children_have_iterators_of_their_own(model):
    @bl.function
    def program(s):
        s += "root "
        group = s.fork(2)
        group += lambda i: f"{i} " + bl.gen("v")
        group.join()
        return group

    state = program.run(backend=model, stream=True)
    state.sync()
    for child in state.ret_value:
        assert "".join(child.text_iter()) == child.text()
    assert "".join(state.text_iter()) == "root "


def test_several_sequences_stream_the_first(model):
    @bl.function
    def program(s):
        s += "a" + bl.gen("v", n=2)

    state = program.run(backend=model, stream=True)
    assert "".join(state.text_iter("v")) == state["v"][0]


def test_a_stream_that_contradicts_the_result_is_an_error(model):
    class Lying(type(model)):
        async def _stream(self, rid, outputs, on_chunk):
            on_chunk(protocol.Chunk(rid=rid, seq=0, index=0, text="!", token_ids=[33]))

    state = talk.run("hi", backend=Lying(), stream=True)
    with pytest.raises(bl.InternalError, match="the stream said '!'"):
        list(state.text_iter())


def test_a_streaming_program_outlives_the_body_that_started_it(model):
    go_on = threading.Event()

    @bl.function
    def inner(s):
        s += "a"
        go_on.wait()
        s += "b"

    @bl.function
    def outer(s):
        return inner.run(backend=model, stream=True)

    pieces = outer.run(backend=model).ret_value.text_iter()
    assert next(pieces) == "a"
    go_on.set()
    assert list(pieces) == ["b"]


def test_a_childs_text_ends_at_the_join(model):
    @bl.function
    def program(s):
        group = s.fork(1)
        group += "a" + bl.gen("v")
        group.join()
        return "".join(group[0].text_iter())

    state = program.run(backend=model, stream=True)
    assert state.text() == ""
    assert state.ret_value == "a" + model.reply("a")
