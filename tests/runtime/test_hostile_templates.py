"""Templates of hostile models end in an error, soon and small (S12)."""

from __future__ import annotations

import gc
import importlib
import resource
import sys
import time
from collections.abc import Iterator

import pytest
from templates import BOMBS, ESCAPES

from branchline.runtime.tokenizer import sandbox
from branchline.runtime.tokenizer.sandbox import MAX_RENDER_S
from branchline.runtime.tokenizer.template import ChatTemplate, TemplateError

MESSAGES = [{"role": "user", "content": "hello"}]
# What an escape would show: names of classes, modules and files.
INSIDES = ("<class", "<module", "<function", "<built-in", "uid=", "root:", "0x", "__")


@pytest.fixture(scope="module")
def events() -> list[str]:
    """What this process runs, opens and starts from now on; an audit hook stays. The first error of
    a template imports jinja2.debug, which may write its byte code."""
    importlib.import_module("jinja2.debug")
    seen: list[str] = []
    watched = ("os.system", "subprocess.Popen", "open", "socket.connect", "import", "os.exec")

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in watched:
            seen.append(f"{event} {arguments}"[:200])

    sys.addaudithook(hook)
    return seen


def test_there_are_enough_of_them() -> None:
    assert len(ESCAPES) >= 60
    assert len(BOMBS) >= 40


@pytest.mark.parametrize("source", ESCAPES)
def test_no_way_leads_out_of_the_sandbox(source: str, events: list[str]) -> None:
    events.clear()
    try:
        text = ChatTemplate(source, {}).render(MESSAGES)
    except TemplateError:
        text = ""
    assert [event for event in events if "jinja" not in event] == []
    assert not any(inside in text for inside in INSIDES), text
    assert MESSAGES == [{"role": "user", "content": "hello"}]


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Garbage of other tests is not collected within what is measured."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_within_its_time_and_memory(name: str) -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun_s = time.thread_time()
    with pytest.raises(TemplateError):
        ChatTemplate(BOMBS[name], {}).render(MESSAGES)
    taken_s = time.thread_time() - begun_s
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    # Processor time; twice the bound, because the clock is looked at between steps, which take
    # longer where Python checks every piece of memory.
    assert taken_s <= (4 if sys.flags.dev_mode else 2) * MAX_RENDER_S
    assert grown_kib < 64 * 1024


def test_one_long_pause_is_not_held_against_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage of the whole process is collected in whatever step comes."""
    now_s = 0.0
    monkeypatch.setattr(sandbox.time, "thread_time", lambda: now_s)
    clock = sandbox.Sandbox()
    clock.start()
    now_s = 10.0
    clock.check_clock()
    for _ in range(14):
        now_s += 0.01
        clock.check_clock()
    now_s += 0.02
    with pytest.raises(TemplateError, match="ran for more than"):
        clock.check_clock()


@pytest.mark.parametrize("name", ["a macro within itself", "a loop within itself"])
def test_calls_within_calls_end_before_the_stack_does(name: str) -> None:
    """Whatever bound Python has: somebody else in the process may have raised it."""
    with pytest.raises(TemplateError, match="calls over 100 levels deep"):
        ChatTemplate(BOMBS[name], {}).render(MESSAGES)


def test_a_macro_may_call_itself_for_what_is_nested() -> None:
    source = (
        "{% macro f(x) %}({% for y in x %}{{ f(y) }}{% endfor %}){% endmacro %}{{ f(messages) }}"
    )
    nested: list[object] = []
    for _ in range(50):
        nested = [nested]
    assert ChatTemplate(source, {}).render(nested) == "(" * 51 + ")" * 51  # type: ignore[arg-type]


def test_what_is_seen_would_be_seen(events: list[str]) -> None:
    """Planted: the hook sees a file that is opened."""
    events.clear()
    with open("/dev/null"):
        pass
    assert any("open" in event for event in events)


HARMLESS = {
    "{% for m in messages %}{{ loop.index }}/{{ loop.length }}{% if not loop.last %},{% endif %}"
    "{% endfor %}": "1/1",
    "{{ messages|map(attribute='role')|join(', ') }}": "user",
    "{{ 'a' ~ 1 ~ none ~ [1, 2] }}": "a1None[1, 2]",
    "{{ 'Today: {} {name}'.format(1, name='x') }}": "Today: 1 x",
    "{{ 'a-b-a'.replace('a', 'c', 1)|replace('-', '+') }}": "c+b+a",
    "{{ '-'.join(['x', 'y']) + 'z' * 3 }}": "x-yzzz",
    "{{ {'b': [1, 2.5]}|tojson(indent=1) }}": '{\n "b": [\n  1,\n  2.5\n ]\n}',
    "{% set n = namespace(k=0) %}{% for a, b in [(1, 2), (3, 4)] %}{% set n.k = n.k + a * b %}"
    "{% endfor %}{{ n.k }}": "14",
    "{% for m in messages if m.role == 'user' %}{{ m['content'][::-1] }}{% endfor %}": "olleh",
    "{{ ('a\nb'|indent(2)) ~ (2 ** 10)|string }}": "a\n  b1024",
    "{% for k, v in {'x': 1}|dictsort %}{{ k }}{{ v|round(1) }}{% endfor %}": "x1",
    "{% for a in [] %}x{% else %}none{% endfor %}{{ [3, 1]|sort|first }}": "none1",
}


@pytest.mark.parametrize("source", HARMLESS)
def test_what_real_templates_do_still_works(source: str) -> None:
    assert ChatTemplate(source, {}).render(MESSAGES) == HARMLESS[source]
