"""`amap`: order, bounds, failures, and leaving early."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

import branchline as bl


@bl.function
async def ask(s, number):
    s += f"{number}" + bl.gen("a")
    return await s.get("a")


@bl.function
def plain(s, number):
    s += f"{number}" + bl.gen("a")
    return s["a"]


def records(count):
    return [(i,) for i in range(count)]


def results(iterator):
    async def main():
        return [state.ret_value async for state in iterator]

    return asyncio.run(main())


@pytest.mark.parametrize("program", [ask, plain])
def test_states_come_in_the_order_of_the_records(model, program):
    expected = [model.reply(f"{i}") for i in range(50)]
    assert results(program.amap(records(50), backend=model, concurrency=7)) == expected


def test_records_may_come_from_an_async_iterator(model):
    async def source():
        for i in range(5):
            await asyncio.sleep(0)
            yield {"number": i}

    expected = [model.reply(f"{i}") for i in range(5)]
    assert results(ask.amap(source(), backend=model, concurrency=2)) == expected


def test_no_records_give_no_states(model):
    assert results(ask.amap([], backend=model)) == []


def test_never_more_instances_than_the_concurrency_are_under_way(model):
    model.hold = lambda prompt: True

    def release_when_full():
        for _ in range(6):
            model.started.acquire()
        model.release()

    releasing = threading.Thread(target=release_when_full)
    releasing.start()
    results(ask.amap(records(40), backend=model, concurrency=6))
    releasing.join()
    assert model.most_running == 6


def test_records_are_taken_as_there_is_room(model):
    taken = []

    def source():
        for i in range(1000):
            taken.append(i)
            yield (i,)

    async def main():
        states = ask.amap(source(), backend=model, concurrency=3)
        await anext(states)
        await states.aclose()

    asyncio.run(main())
    assert len(taken) <= 210


def test_unordered_states_come_as_they_are_finished(model):
    model.hold = lambda prompt: prompt == "0"

    async def main():
        order = []
        async for state in ask.amap(records(4), backend=model, ordered=False):
            order.append(state.stream_executor.arguments["number"])
            if len(order) == 3:
                model.release()
        return order

    order = asyncio.run(main())
    assert sorted(order[:3]) == [1, 2, 3]
    assert order[3] == 0


def test_a_slow_source_does_not_hold_back_what_is_finished(model):
    async def main():
        more = asyncio.Event()

        async def source():
            yield (0,)
            await more.wait()
            yield (1,)

        states = ask.amap(source(), backend=model)
        first = await anext(states)
        more.set()
        return [first.ret_value, *[state.ret_value async for state in states]]

    assert asyncio.run(main()) == [model.reply("0"), model.reply("1")]


def test_the_first_failure_is_raised_and_cancels_the_others(model):
    model.hold = lambda prompt: prompt not in "01"
    model.fail = lambda prompt: bl.GrammarError("bad") if prompt == "1" else None

    async def main():
        async for state in ask.amap(records(4), backend=model):
            done.append(state.ret_value)

    done = []
    with pytest.raises(bl.GrammarError):
        asyncio.run(main())
    assert done in ([], [model.reply("0")])
    while model.running:
        model.get_server_info()
    begun = {call.text for call in model.calls}
    assert set(model.cancelled) == begun - {"0", "1"}


def test_failures_may_be_returned_in_their_states(model):
    model.fail = lambda prompt: bl.GrammarError("bad") if prompt == "1" else None

    async def main():
        states = ask.amap(records(3), backend=model, on_error="return")
        return [state.error() async for state in states]

    assert [type(error) for error in asyncio.run(main())] == [
        type(None),
        bl.GrammarError,
        type(None),
    ]


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit, StopIteration, GeneratorExit])
def test_whatever_a_plain_body_raises_is_told(model, kind):
    @bl.function
    def program(s, number):
        if number == 1:
            raise kind

    async def main():
        states = program.amap(records(3), backend=model, on_error="return")
        return [state.error() async for state in states]

    assert [isinstance(error, kind) for error in asyncio.run(main())] == [False, True, False]


def test_a_record_that_does_not_fit_ends_the_iteration(model):
    with pytest.raises(TypeError, match="has no argument other"):
        results(ask.amap([{"other": 1}], backend=model))


def test_a_source_that_raises_ends_the_iteration(model):
    def source():
        yield (0,)
        raise LookupError("in the source")

    with pytest.raises(LookupError, match="in the source"):
        results(ask.amap(source(), backend=model))


def test_cancelling_the_task_cancels_everything(model):
    model.hold = lambda prompt: True

    async def main():
        async def consume():
            async for _ in ask.amap(records(3), backend=model):
                pass

        task = asyncio.create_task(consume())
        while model.running < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    while model.running:
        model.get_server_info()
    assert sorted(model.cancelled) == ["0", "1", "2"]


def test_states_that_were_given_out_are_not_kept(model):
    async def main():
        references = []
        async for state in ask.amap(records(30), backend=model, concurrency=4):
            references.append(weakref.ref(state.stream_executor))
        del state
        return references

    references = asyncio.run(main())
    model.get_server_info()
    gc.collect()
    assert [reference() for reference in references] == [None] * 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"concurrency": 0}, "concurrency=0"),
        ({"on_error": "ignore"}, "on_error='ignore'"),
        ({"timeout": -1}, "timeout=-1"),
    ],
)
def test_wrong_arguments_are_refused_at_once(model, arguments, words):
    with pytest.raises(ValueError, match=words):
        ask.amap([], backend=model, **arguments)


def test_what_is_no_iterable_is_refused_at_once(model):
    with pytest.raises(TypeError, match="expected an iterable"):
        ask.amap(5, backend=model)
