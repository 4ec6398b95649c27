"""`arun` and `async def` programs: reading, streaming, cancelling, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

import branchline as bl


@bl.function
async def ask(s, question):
    s += question + bl.gen("a")
    return await s.get("a")


@bl.function
def plain(s, question):
    s += question + bl.gen("a")
    return s["a"]


@pytest.mark.parametrize("program", [ask, plain])
def test_arun_gives_a_finished_state(model, program):
    async def main():
        state = await program.arun("q", backend=model)
        return state, state["a"], state.text()

    state, answer, text = asyncio.run(main())
    assert state.ret_value == answer == model.reply("q")
    assert text == "q" + answer


def test_an_async_program_may_be_run_without_an_event_loop(model):
    assert ask.run("q", backend=model).ret_value == model.reply("q")


def test_run_of_an_async_program_in_an_event_loop_says_what_to_write(model):
    async def main():
        ask.run("q", backend=model)

    with pytest.raises(RuntimeError, match=r"await f\.arun"):
        asyncio.run(main())


def test_a_read_that_would_block_the_programs_event_loop_says_what_to_write(model):
    model.hold = lambda prompt: True

    @bl.function
    async def program(s):
        s += "x" + bl.gen("a")
        return s["a"]

    with pytest.raises(RuntimeError, match=r"write await s\.get\('a'\)"):
        program.run(backend=model)


def test_a_fork_that_would_block_the_programs_event_loop_says_what_to_write(model):
    model.hold = lambda prompt: True

    @bl.function
    async def program(s):
        s += "x" + bl.gen("a")
        s.fork(2)

    with pytest.raises(RuntimeError, match=r"write await s\.fork_async\(2\)"):
        program.run(backend=model)


def test_forks_and_joins_have_a_coroutine_form(model):
    @bl.function
    async def program(s):
        s += "trunk " + bl.gen("a")
        forks = await s.fork_async(3)
        forks += lambda i: f"leaf {i}" + bl.gen("b", max_tokens=2)
        await forks.join_async()
        s += "".join(s["b"])

    state = program.run(backend=model)
    trunk = "trunk " + model.reply("trunk ")
    assert state["b"] == [model.reply(f"{trunk}leaf {i}")[:2] for i in range(3)]
    assert state.text() == trunk + "".join(state["b"])


def test_values_and_waiting_have_a_coroutine_form(model):
    model.reply = lambda prompt: "41"

    @bl.function
    async def program(s):
        s += "n=" + bl.gen("n", dtype=int)
        number = await s.get_value("n")
        s += ", again " + bl.gen("m")
        await s.wait()
        return number + await s.get_value("m", int), s.text()

    assert program.run(backend=model).ret_value == (82, "n=41, again 41")


def test_text_streams_while_an_async_body_waits_for_it(model):
    model.reply = lambda prompt: "abcdefgh"

    @bl.function
    async def program(s):
        s += "x" + bl.gen("a")
        return [piece async for piece in s.text_async_iter("a")]

    async def main():
        return (await program.arun(backend=model, stream=True)).ret_value

    assert asyncio.run(main()) == ["abc", "def", "gh"]


def test_readers_beside_an_async_body_wait_for_what_it_has_not_come_to(model):
    async def main():
        rests, goes_on = asyncio.Event(), asyncio.Event()

        @bl.function
        async def program(s):
            s += "x" + bl.gen("a")
            await s.get("a")
            rests.set()
            await goes_on.wait()
            s += "y" + bl.gen("b")

        state = program.run(backend=model, stream=True)
        await rests.wait()
        with pytest.raises(RuntimeError, match=r"async for piece in s\.text_async_iter"):
            list(state.text_iter())
        readers = asyncio.gather(state.wait(), state.get("b"), anext(state.text_async_iter("b")))
        await asyncio.sleep(0)
        goes_on.set()
        _, value, piece = await readers
        assert state.text().endswith("y" + value)
        assert value.startswith(piece)

    asyncio.run(main())


def test_a_streaming_run_of_an_async_program_returns_at_once(model):
    model.hold = lambda prompt: True

    async def main():
        state = ask.run("q", backend=model, stream=True)
        assert not model.calls
        reader = asyncio.create_task(anext(state.text_async_iter("a")))
        await asyncio.to_thread(model.started.acquire)
        model.release()
        return await reader

    assert model.reply("q").startswith(asyncio.run(main()))


def test_what_an_async_body_raises_comes_out_of_arun_and_cancels_its_calls(model):
    model.hold = lambda prompt: True

    @bl.function
    async def program(s):
        s += "x" + bl.gen("a")
        await asyncio.to_thread(model.started.acquire)
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        program.run(backend=model)
    while model.running:
        model.get_server_info()
    assert model.cancelled == ["x"]


@pytest.mark.parametrize("program", [ask, plain])
def test_cancelling_the_task_cancels_the_call(model, program):
    model.hold = lambda prompt: True

    async def main():
        task = asyncio.create_task(program.arun("q", backend=model))
        await asyncio.to_thread(model.started.acquire)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    while model.running:
        model.get_server_info()
    assert model.cancelled == ["q"]


def test_cancelling_a_state_interrupts_its_async_body(model):
    states = []

    @bl.function
    async def program(s):
        states.append(s)
        s += "x"
        await asyncio.Event().wait()

    async def main():
        task = asyncio.create_task(program.arun(backend=model))
        while not states:
            await asyncio.sleep(0)
        states[0].cancel()
        with pytest.raises(bl.Cancelled):
            await task

    asyncio.run(main())
    assert isinstance(states[0].error(), bl.Cancelled)


def test_an_async_body_may_cancel_its_own_state(model):
    model.hold = lambda prompt: True

    @bl.function
    async def program(s):
        s += "x" + bl.gen("a")
        s.cancel()
        await s.get("a")

    with pytest.raises(bl.Cancelled):
        program.run(backend=model)


def test_a_failed_call_is_raised_where_an_async_body_reads_it(model):
    model.fail = lambda prompt: bl.GrammarError("too big")

    @bl.function
    async def program(s):
        s += "x" + bl.gen("a")
        await s.get("a")

    with pytest.raises(bl.GrammarError) as caught:
        program.run(backend=model)
    error = caught.value
    assert (error.program, error.variable, error.op) == ("program", "a", "Gen('a')")
    assert error.source == f"{__file__}:{program.func.__code__.co_firstlineno + 2}"


def test_a_failed_call_that_nobody_reads_is_told_by_the_state(model):
    model.fail = lambda prompt: bl.GrammarError("too big")

    @bl.function
    async def program(s):
        s += "x" + bl.gen("a")

    async def main():
        return await program.arun(backend=model)

    state = asyncio.run(main())
    assert isinstance(state.error(), bl.GrammarError)


def test_an_unknown_name_is_a_key_error_in_coroutines_too(model):
    @bl.function
    async def program(s):
        await s.get("nothing")

    with pytest.raises(KeyError, match="'nothing' is no variable"):
        program.run(backend=model)


def test_a_thousand_coroutines_run_in_one_thread(model):
    model.hold = lambda prompt: True
    bl.flush_cache(model)  # starts the shared loop

    async def main():
        before = threading.active_count()
        tasks = [asyncio.create_task(ask.arun(f"{i}", backend=model)) for i in range(1000)]
        while model.running < 1000:
            await asyncio.sleep(0.001)
        assert threading.active_count() == before
        model.release()
        return [state["a"] for state in await asyncio.gather(*tasks)]

    assert asyncio.run(main()) == [model.reply(f"{i}") for i in range(1000)]


def test_an_async_program_may_await_another(model):
    @bl.function
    async def outer(s):
        inner = await ask.arun("q", backend=model)
        s += "got " + inner["a"]

    state = outer.run(backend=model)
    assert state.text() == "got " + model.reply("q")
    assert len(state.usages()) == 1


def test_context_variables_of_the_caller_hold_in_async_bodies(model):
    variable = contextvars.ContextVar("variable", default="unset")

    @bl.function
    async def program(s):
        return variable.get()

    variable.set("set")
    (batched,) = program.run_batch([{}], backend=model)
    assert [program.run(backend=model).ret_value, batched.ret_value] == ["set"] * 2


def test_a_batch_of_an_async_program_keeps_order_and_isolation(model):
    @bl.function
    async def program(s, number):
        s += f"{number}" + bl.gen("a")
        if number == 3:
            raise LookupError
        return await s.get("a")

    with pytest.raises(bl.BatchError) as caught:
        program.run_batch([(i,) for i in range(50)], backend=model)
    assert list(caught.value.errors) == [3]
    results = [state.ret_value for state in caught.value.states]
    assert results == [None if i == 3 else model.reply(f"{i}") for i in range(50)]


def test_a_stop_iteration_of_a_body_comes_out_as_a_cause(model):
    program = bl.function(lambda s: next(iter(())))

    async def main():
        await program.arun(backend=model)

    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        asyncio.run(main())
    assert isinstance(caught.value.__cause__, StopIteration)
