"""The web page in a real browser, in front of a real server whose engine the test plays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from chromium import Page
from msgspec.structs import replace
from played_front import PlayedFront

from branchline.runtime.engine.inspection import view_path, view_tree
from branchline.runtime.engine_protocol import Failed, Submit
from branchline.runtime.memory.allocator import SlotAllocator
from branchline.runtime.protocol import (
    PROTOCOL_VERSION,
    ClientMessage,
    Generate,
    Hello,
    SamplingParams,
    Text,
)
from branchline.runtime.radix_cache.tree import RadixCache
from branchline.runtime.views import (
    EngineQuery,
    EngineView,
    PathQuery,
    SequencesView,
    TreeQuery,
)

KEY = "correct-horse-battery"
STATS = {
    **dict.fromkeys(("running", "waiting", "compiling", "generated_tokens", "retractions"), 0.0),
    "num_slots": 100.0,
    "free_slots": 60.0,
}


def serve(front: PlayedFront, cache: RadixCache | None = None, *keys: str) -> str:
    """Listen, with a cache to look at; the address."""
    shown = cache or RadixCache(SlotAllocator(10))

    def inspect(namespace: str, query: EngineQuery) -> EngineView:
        match query:
            case TreeQuery():
                return view_tree(shown, [], namespace, query)
            case PathQuery():
                return view_path(shown, namespace, query)
            case _:
                return SequencesView([], dict(STATS))

    front.inspect = inspect
    front.stats = dict(STATS)
    return front.listen(*keys).url


def cache_of(front: PlayedFront, *texts: str) -> RadixCache:
    cache = RadixCache(SlotAllocator(100_000))
    for text in texts:
        ids = np.array(front.tokenizer.encode_text(text), np.int32)
        slots = cache.allocator.allocate(len(ids))
        assert slots is not None
        present = cache.insert("", ids, slots)
        cache.allocator.free(slots[:present])
    return cache


def wait_up(page: Page) -> None:
    page.wait("document.querySelector('#status').dataset.state === 'ok'")


def ask(page: Page, text: str) -> None:
    page.type("#prompt", text)
    page.click("#send")
    page.wait("!document.querySelector('#send').disabled")


def test_a_chat_streams_its_answer_and_tells_what_was_cached(
    front: PlayedFront, page: Page, shoot: Callable[[str], bytes]
) -> None:
    page.open(serve(front) + "/ui")
    wait_up(page)
    ask(page, "hello")
    assert page.text(".turn.assistant .text") == "good island"
    assert "3 of them from the cache" in page.text("#usage")
    shoot("playground")
    assert page.errors == []


def test_a_second_message_continues_the_conversation(front: PlayedFront, page: Page) -> None:
    page.open(serve(front) + "/ui")
    ask(page, "hello")
    ask(page, "and you?")
    prompt = front.tokenizer.decode(front.submits[-1].input_ids, False)
    assert prompt.index("hello") < prompt.index("good island") < prompt.index("and you?")


def test_a_completion_sends_the_text_as_it_is(front: PlayedFront, page: Page) -> None:
    page.open(serve(front) + "/ui")
    page.click("[name=mode][value=completion]")
    ask(page, "the island is")
    assert front.tokenizer.decode(front.submits[-1].input_ids, False) == "the island is"


def test_text_from_the_model_never_becomes_markup(front: PlayedFront, page: Page) -> None:
    front.reply = lambda submit: "<img src=x onerror=alert(1)>"
    page.open(serve(front) + "/ui")
    ask(page, "<b>hello</b>")
    assert page.text(".turn.assistant .text") == "<img src=x onerror=alert(1)>"
    assert page.evaluate("document.querySelectorAll('#turns img, #turns .text b').length") == 0


def test_what_a_model_thinks_stands_above_its_answer(front: PlayedFront, page: Page) -> None:
    front.reply = lambda submit: "<think>hmm so</think>it is"
    front.model = replace(front.model, reasoning_tags=("<think>", "</think>"))
    page.open(serve(front) + "/ui")
    ask(page, "hello")
    assert page.text(".turn.assistant details").split("\n") == ["thinking", "hmm so"]
    assert page.text(".turn.assistant .text") == "it is"


def test_a_request_that_fails_says_why(front: PlayedFront, page: Page) -> None:
    front.fail = lambda submit: Failed(submit.sid, "internal", "the engine is sad")
    page.open(serve(front) + "/ui")
    ask(page, "hello")
    assert "the engine is sad" in page.text(".turn.failed .text")


def test_a_running_answer_can_be_stopped(front: PlayedFront, page: Page) -> None:
    front.allow(0)
    page.open(serve(front) + "/ui")
    page.type("#prompt", "hello")
    page.click("#send")
    front.wait_until(lambda: len(front.submits) == 1)
    page.click("#stop")
    front.wait_until(lambda: len(front.dropped) == 1)
    page.wait("document.querySelector('.turn.failed')?.innerText.includes('stopped')")


def test_a_schema_is_judged_while_it_is_written(
    front: PlayedFront, page: Page, shoot: Callable[[str], bytes]
) -> None:
    def fail(submit: Submit) -> Failed | None:
        if "unheard" in str(submit.constraint):
            return Failed(submit.sid, "grammar", "is not supported", "/unheard")
        return None

    front.fail = fail
    page.open(serve(front) + "/ui")
    page.type("#constraint", "json_schema")
    page.wait("document.querySelector('#verdict').innerText === 'can be enforced'")
    page.type("#schema", '{"type": ')
    page.wait("document.querySelector('#verdict').innerText.startsWith('no JSON')")
    page.type("#schema", '{"unheard": 1}')
    page.wait("document.querySelector('#verdict').innerText === '/unheard: is not supported'")
    assert page.evaluate("document.querySelector('#schema').getAttribute('aria-invalid')") == "true"
    shoot("schema")


def test_the_tree_is_drawn_and_a_node_tells_its_text(
    front: PlayedFront, page: Page, shoot: Callable[[str], bytes]
) -> None:
    page.open(serve(front, cache_of(front, "hello world, the island")) + "/ui#tree")
    page.wait("document.querySelector('#tree-canvas').dataset.drawMs")
    # The only node lies on the first ring, straight below the middle (half a turn from the top).
    spot = page.evaluate(
        "(() => { const box = document.querySelector('#tree-canvas').getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2, box.height]; })()"
    )
    found = ""
    for step in range(1, 60):
        page.mouse("mouseMoved", spot[0], spot[1] + step * spot[2] / 120)
        found = page.text("#tree-tip pre")
        if found:
            break
    assert found.startswith("hello world")
    assert "held by nobody" in page.text("#tree-tip")
    shoot("tree")


def test_ten_thousand_nodes_are_drawn_and_moved(
    front: PlayedFront, page: Page, shoot: Callable[[str], bytes]
) -> None:
    cache = RadixCache(SlotAllocator(200_000))
    random = np.random.default_rng(7)
    stems = random.integers(0, 250, (40, 30))
    while cache.num_nodes < 10_000:
        ids = np.concatenate([stems[random.integers(40)], random.integers(0, 250, 12)])
        if random.random() < 0.5:
            ids = ids[: random.integers(8, 42)]
        ids = ids.astype(np.int32)
        slots = cache.allocator.allocate(len(ids))
        assert slots is not None
        present = cache.insert("", ids, slots)
        cache.allocator.free(slots[:present])
        if random.random() < 0.3:
            cache.count_hit(cache.match_prefix("", ids[:20]).node)
    page.open(serve(front, cache) + "/ui#tree")
    page.wait("Number(document.querySelector('#tree-canvas').dataset.nodes) >= 9900")
    page.wait("document.querySelector('#tree-canvas').dataset.drawMs")
    shoot("tree-10000")
    before = page.evaluate("document.querySelector('#tree-canvas').toDataURL().length")
    for _ in range(6):
        page.mouse("mouseWheel", 640, 160, deltaX=0, deltaY=-300)
    page.wait(f"document.querySelector('#tree-canvas').toDataURL().length !== {before}")
    shoot("tree-10000-near")
    assert page.errors == []


def test_a_request_shows_what_the_cache_did_for_it(
    front: PlayedFront, page: Page, shoot: Callable[[str], bytes]
) -> None:
    page.open(serve(front, cache_of(front, "hello world", "hello island")) + "/ui")
    page.click("[name=mode][value=completion]")
    ask(page, "hello world, the island is green")
    page.click('[data-tab="requests"]')
    page.wait("document.querySelector('#ended tr[data-request]')")
    page.click("#ended tr[data-request]")
    page.wait("document.querySelector('#explanation .prompt-text')")
    assert page.text("#explanation .prompt-text") == "hello world, the island is green"
    assert "3 of" in page.text("#explanation")
    shoot("requests")


def test_a_running_request_is_listed_and_leaves_when_it_ends(
    front: PlayedFront, page: Page
) -> None:
    front.allow(0)
    page.open(serve(front) + "/ui")
    page.type("#prompt", "hello")
    page.click("#send")
    page.wait("document.querySelector('#running tr[data-request]')")
    front.allow(None)
    page.wait("!document.querySelector('#running tr[data-request]')")


def test_the_calls_of_a_program_lie_on_one_line(
    front: PlayedFront, page: Page, shoot: Callable[[str], bytes]
) -> None:
    address = serve(front)

    def say(message: ClientMessage) -> None:
        front.do(lambda: front.service.on_message(b"program", message))

    def call(number: int, base: int | None) -> Generate:
        sampling = SamplingParams(max_new_tokens=9)
        prompt = [Text("hello world")]
        return Generate(f"{number}", prompt, sampling, base=base, keep_as=number, stream=True)

    say(Hello(version=PROTOCOL_VERSION))
    say(call(1, None))
    front.wait_until(lambda: not front.service._history.running())
    front.allow(0)
    say(call(2, 1))
    page.open(address + "/ui#requests")
    page.wait("document.querySelector('#programs tr[data-program]')")
    assert page.text("#num-programs") == "1"
    assert page.text("#programs tr[data-program] td:nth-child(2)") == "2"
    shoot("programs")
    front.allow(None)


def test_charts_are_drawn_in_light_and_dark(
    front: PlayedFront, page: Page, shoot: Callable[[str], bytes]
) -> None:
    page.prefer("light")
    page.open(serve(front) + "/ui#charts")
    page.wait("document.querySelector('.tile b')?.innerText")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    picture = shoot("charts-light")
    assert "NaN" not in page.text(".tiles")
    page.prefer("dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    assert shoot("charts-dark") != picture
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_the_whole_page_comes_from_the_server_alone(front: PlayedFront, page: Page) -> None:
    address = serve(front)
    page.open(address + "/ui")
    wait_up(page)
    for tab in ("tree", "requests", "charts"):
        page.click(f'[data-tab="{tab}"]')
    page.wait("document.querySelector('.tile b')?.innerText")
    assert {url.split("/ui")[0] for url in page.requests} == {address}


def test_a_server_that_is_gone_is_said(front: PlayedFront, page: Page) -> None:
    page.open(serve(front) + "/ui")
    wait_up(page)
    assert front.server is not None
    front.server.stop()
    page.wait("document.querySelector('#status').dataset.state === 'bad'")
    assert page.text("#status") == "the server does not answer"


def test_with_a_key_the_browsers_password_opens_everything(front: PlayedFront, page: Page) -> None:
    address = serve(front, None, KEY)
    page.open(address.replace("http://", f"http://me:{KEY}@") + "/ui")
    wait_up(page)
    ask(page, "hello")
    assert page.text(".turn.assistant .text") == "good island"


def test_without_the_key_nothing_is_shown(front: PlayedFront, page: Page) -> None:
    page.open(serve(front, None, KEY) + "/ui")
    assert "Playground" not in page.text("body")
