"""run_batch: order, bounds, progress, and what happens when instances fail."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

import branchline as bl


@bl.function
def echo(s, text):
    s += text + bl.gen("a")


def test_states_come_in_order(model):
    states = echo.run_batch([{"text": f"{i}"} for i in range(50)], backend=model)
    assert [state["a"] for state in states] == [model.reply(f"{i}") for i in range(50)]


def test_items_may_be_tuples_of_positional_arguments(model):
    @bl.function
    def program(s, a, b="default"):
        return (a, b)

    states = program.run_batch([(1,), [2, 3]], backend=model)
    assert [state.ret_value for state in states] == [(1, "default"), (2, 3)]


@pytest.mark.parametrize("item", [(), (1, 2), {"other": 1}, 5])
def test_an_item_that_does_not_fit_is_refused_before_anything_runs(model, item):
    with pytest.raises(TypeError):
        echo.run_batch([("fits",), item], backend=model)
    assert model.calls == []


def test_an_empty_batch_is_an_empty_list(model):
    assert echo.run_batch([], backend=model, progress_bar=True) == []


def test_unknown_arguments_are_refused(model):
    with pytest.raises(TypeError, match=r"unknown arguments streem$"):
        echo.run_batch([("a",)], backend=model, streem=True)
    with pytest.raises(TypeError, match=r"concurrency; did you mean num_threads\?"):
        echo.run_batch([("a",)], backend=model, concurrency=4)


def test_one_thread_runs_one_after_the_other(model):
    echo.run_batch([(f"{i}",) for i in range(5)], backend=model, num_threads=1)
    assert model.most_running == 1


def test_never_more_instances_than_threads_are_under_way(model):
    model.hold = lambda prompt: True
    runner = threading.Thread(
        target=echo.run_batch,
        args=([(f"{i}",) for i in range(20)],),
        kwargs={"backend": model, "num_threads": 4},
    )
    runner.start()
    for _ in range(4):
        model.started.acquire()
    assert model.running == 4
    assert not model.started.acquire(blocking=False)
    model.release()
    runner.join()
    assert model.most_running == 4


def test_a_thousand_instances_can_run_at_once(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s, number):
        s += f"{number}" + bl.gen("a")

    def watch():
        for _ in range(1000):
            model.started.acquire()
        model.release()

    watcher = threading.Thread(target=watch)
    watcher.start()
    states = program.run_batch([(i,) for i in range(1000)], backend=model, num_threads=1000)
    watcher.join()
    assert [state["a"] for state in states] == [model.reply(f"{i}") for i in range(1000)]
    assert model.most_running == 1000


def test_a_thousand_running_programs_have_no_threads(model):
    model.hold = lambda prompt: True
    bl.flush_cache(model)  # starts the shared loop
    before = threading.active_count()
    states = [echo.run(f"{i}", backend=model) for i in range(1000)]
    for _ in range(1000):
        model.started.acquire()
    assert threading.active_count() == before
    model.release()
    assert [state["a"] for state in states] == [model.reply(f"{i}") for i in range(1000)]


def test_the_generator_form_does_not_run_far_ahead_of_its_consumer(model):
    model.hold = lambda prompt: prompt == "0"
    states = echo.run_batch([(f"{i}",) for i in range(300)], backend=model, generator_style=True)
    started = []

    def watch():
        for _ in range(200):
            model.started.acquire()
        started.append(len(model.calls))
        model.release()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert len(list(states)) == 300
    watcher.join()
    assert started == [200]


def test_bodies_that_wait_get_a_thread_each(model):
    @bl.function
    def program(s, number):
        s += f"{number}" + bl.gen("a")
        barrier.wait(30)
        return s["a"]

    barrier = threading.Barrier(20)
    states = program.run_batch([(i,) for i in range(20)], backend=model)
    assert [state.ret_value for state in states] == [model.reply(f"{i}") for i in range(20)]


def test_the_generator_form_yields_in_order_and_starts_when_asked(model):
    states = echo.run_batch([(f"{i}",) for i in range(9)], backend=model, generator_style=True)
    assert model.calls == []
    assert [state["a"] for state in states] == [model.reply(f"{i}") for i in range(9)]


def test_the_generator_form_yields_the_first_while_later_ones_run(model):
    model.hold = lambda prompt: prompt == "1"
    states = echo.run_batch([("0",), ("1",)], backend=model, generator_style=True)
    assert next(states)["a"] == model.reply("0")
    model.release()
    assert next(states)["a"] == model.reply("1")


def test_leaving_the_generator_cancels_what_still_runs(model):
    model.hold = lambda prompt: prompt != "0"
    states = echo.run_batch([(f"{i}",) for i in range(4)], backend=model, generator_style=True)
    kept = []
    for state in states:
        kept.append(state)
        break
    for _ in range(4):
        model.started.acquire()
    states.close()
    assert kept[0]["a"] == model.reply("0")
    while model.running:
        bl.function(lambda s: None).run(backend=model).sync()
        model.get_server_info()
    assert sorted(model.cancelled) == ["1", "2", "3"]


def test_a_failed_call_is_told_by_its_own_state_only(model):
    model.fail = lambda prompt: bl.Overloaded("full") if prompt == "1" else None
    states = echo.run_batch([("0",), ("1",), ("2",)], backend=model)
    assert [type(state.error()) for state in states] == [type(None), bl.Overloaded, type(None)]
    assert states[2]["a"] == model.reply("2")


def test_a_body_that_reads_its_failed_call_spoils_nothing_either(model):
    model.fail = lambda prompt: bl.Overloaded("full") if prompt == "1" else None

    @bl.function
    def program(s, text):
        s += text + bl.gen("a")
        return s["a"]

    states = program.run_batch([("0",), ("1",)], backend=model)
    assert states[0].ret_value == model.reply("0")
    assert isinstance(states[1].error(), bl.Overloaded)


def test_an_exception_of_a_body_is_raised_at_the_end_with_all_results(model):
    @bl.function
    def program(s, number):
        if number == 1:
            raise LookupError("no such thing")
        s += f"{number}" + bl.gen("a")

    with pytest.raises(bl.BatchError, match=r"1 of 3 .* number 1: LookupError: no such") as caught:
        program.run_batch([(i,) for i in range(3)], backend=model)
    error = caught.value
    assert isinstance(error.__cause__, LookupError)
    assert list(error.errors) == [1]
    assert [error.states[i]["a"] for i in (0, 2)] == [model.reply("0"), model.reply("2")]
    assert isinstance(error.states[1].error(), LookupError)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("is_async", [False, True])
def test_no_body_ends_the_batch(model, kind, is_async):
    def plain(s, number):
        if number == 1:
            raise kind
        s += f"{number}" + bl.gen("a")

    async def awaited(s, number):
        plain(s, number)

    program = bl.function(awaited if is_async else plain)
    states = program.run_batch([(i,) for i in range(3)], backend=model, on_error="return")
    told = bl.Cancelled if is_async and kind is asyncio.CancelledError else kind
    assert [type(state.error()) for state in states] == [type(None), told, type(None)]


def test_the_progress_bar_counts_every_finished_program(model, capsys):
    echo.run_batch([(f"{i}",) for i in range(7)], backend=model, progress_bar=True)
    captured = capsys.readouterr()
    assert "7/7" in captured.err
    assert captured.out == ""


def test_ctrl_c_cancels_everything_that_still_runs(model):
    model.hold = lambda prompt: True

    @bl.function
    def program(s, number):
        s += f"{number}" + bl.gen("a")
        return s["a"]

    def interrupt():
        for _ in range(3):
            model.started.acquire()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        program.run_batch([(i,) for i in range(3)], backend=model)
    watcher.join()
    while model.running:
        model.get_server_info()
    assert sorted(model.cancelled) == ["0", "1", "2"]


@pytest.mark.parametrize("items", [{"text": "x"}, "x", 5, None])
def test_what_is_no_list_of_instances_is_no_batch(model, items):
    @bl.function
    def program(s, text):
        s += text

    with pytest.raises(TypeError, match="expected a list with the arguments of each instance"):
        program.run_batch(items, backend=model)
