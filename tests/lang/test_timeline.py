"""What a state tells of its calls, and how it shows itself in a notebook."""

from __future__ import annotations

import html
import html.parser
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from scripted import Scripted, default_reply

import branchline as bl
from branchline.runtime.protocol import Usage


@bl.function
def branches(s):
    s += "trunk " + bl.gen("a")
    group = s.fork(2)
    group += bl.gen("b", max_tokens=2)
    group.join()
    s += bl.select("c", ["yes", "no"])


class Page(html.parser.HTMLParser):
    """Checks that tags nest; collects text, tags and attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.marked, self.text = [], [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "p"):
            self.open.append(tag)
        if tag == "mark":
            self.marked.append("")

    def handle_endtag(self, tag):
        if tag != "p":
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "pre" in self.open:
            self.text += data
        if self.open and self.open[-1] == "mark":
            self.marked[-1] += data


def test_a_timeline_has_a_row_for_each_call_in_order(model):
    rows = branches.run(backend=model).timeline().rows
    assert [(row.path, row.variable) for row in rows] == [
        ((), "a"),
        (("fork 1.0",), "b"),
        (("fork 1.1",), "b"),
        ((), "c"),
    ]
    for row in rows:
        assert 0 <= row.queued <= row.started <= row.finished
        assert row.source.startswith(f"{__file__}:")
    first = rows[0]
    assert (first.cached, first.extend, first.decode) == (3, 3, 8)


def test_what_the_backend_tells_of_its_times_is_shown(model):
    generate = model.generate

    async def timed(*args, **kwargs):
        done = await generate(*args, **kwargs)
        return replace(done, usage=Usage(10, 5, 4, queue_s=0.0, first_token_s=0.0, forced_tokens=2))

    model.generate = timed

    @bl.function
    def program(s):
        s += "x" + bl.gen("a")

    (row,) = program.run(backend=model).timeline().rows
    assert (row.cached, row.extend, row.decode, row.forced) == (4, 6, 5, 2)
    assert (row.waited, row.first_token) == (0.0, row.started)


def test_what_the_backend_does_not_tell_is_left_open(model):
    @bl.function
    def program(s):
        s += "x" + bl.gen("a")

    (row,) = program.run(backend=model).timeline().rows
    assert (row.first_token, row.waited, row.forced) == (None, None, None)


def test_a_stream_tells_when_its_first_token_came(model):
    @bl.function
    def program(s):
        s += "x" + bl.gen("a")

    (row,) = program.run(backend=model, stream=True).timeline().rows
    assert row.started <= row.first_token <= row.finished


def test_a_failed_call_is_in_the_timeline(model):
    model.fail = lambda prompt: bl.GrammarError("too big")

    @bl.function
    def program(s):
        s += "x" + bl.gen("a")

    timeline = program.run(backend=model).timeline()
    assert [row.error for row in timeline.rows] == ["GrammarError"]
    assert "Gen('a') GrammarError" in str(timeline)


def test_a_program_called_inside_has_its_name_in_the_path(model):
    @bl.function
    def inner(s):
        s += "in" + bl.gen("v")

    @bl.function
    def outer(s):
        s += inner.run(backend=model)["v"] + bl.gen("w")

    rows = outer.run(backend=model).timeline().rows
    assert [(row.path, row.variable) for row in rows] == [(("inner",), "v"), ((), "w")]


def test_the_text_table_has_a_line_per_call_and_columns_that_align(model):
    lines = str(branches.run(backend=model).timeline()).splitlines()
    assert lines[0] == "branches: 4 calls, times in ms"
    assert len(lines) == 6
    for name, value in (("cached", "3"), ("decode", "8")):
        end = lines[1].index(name) + len(name)
        assert lines[2][:end].endswith(f" {value}")


def test_a_long_op_does_not_push_the_bars_off_the_page(model):
    @bl.function
    def program(s):
        s += "x" + bl.select("kind", [f"choice number {i}" for i in range(30)])

    timeline = program.run(backend=model).timeline()
    assert max(map(len, str(timeline).splitlines())) < 150
    # Whole where somebody looks.
    assert "choice number 29" in timeline.rows[0].op
    assert "choice number 29" in timeline.to_html()


def test_an_empty_timeline_is_a_timeline(model):
    timeline = bl.function(lambda s: None).run(backend=model).timeline()
    assert str(timeline).startswith("<lambda>: 0 calls")
    assert "&lt;lambda&gt;" in timeline.to_html()


def test_the_page_needs_nothing_from_outside(model, tmp_path):
    branches.run(backend=model).timeline().save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert page.open == []
    assert page.tags.count("tr") == 5
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "href"} & {name for name, _ in page.attributes}
    assert not re.search(r"url\(|@import|https?:", text)
    assert "color-scheme:light dark" in text


@given(
    text=st.text(alphabet="<>&\"' abé", max_size=20), name=st.text(alphabet="<\">'x", min_size=1)
)
@settings(max_examples=60, deadline=None)
def test_a_notebook_shows_any_text_as_it_is_with_the_models_part_marked(text, name):
    model = Scripted()
    model.reply = lambda prompt: "<b>&" + default_reply(prompt)

    @bl.function
    def program(s):
        s += text + bl.gen(name) + text

    state = program.run(backend=model)
    page = Page(state._repr_html_())
    assert page.open == []
    assert page.text == state.text()
    assert page.marked == [state[name]]
    assert ("title", name) in page.attributes


def test_a_notebook_shows_what_went_wrong(model):
    model.fail = lambda prompt: bl.GrammarError("<too big>")

    @bl.function
    def program(s):
        s += "x" + bl.gen("a")

    shown = program.run(backend=model)._repr_html_()
    assert "<b>GrammarError</b>: &lt;too big&gt;" in shown


def test_selected_text_and_joined_branches_are_marked_where_they_stand(model):
    @bl.function
    def program(s):
        s += "pick " + bl.select("c", ["yes", "no"]) + " then"
        group = s.fork(2)
        group += " and " + bl.gen("b", max_tokens=3)
        group.join("concate_and_append")

    state = program.run(backend=model)
    page = Page(state._repr_html_())
    assert page.text == state.text()
    assert len(page.marked) == 3
    assert page.marked[0] in ("yes", "no")
    assert all(len(mark) == 3 for mark in page.marked[1:])
