"""`token_healing` in the language: where it goes, and what a state's log holds afterwards."""

from __future__ import annotations

import pytest
from scripted import Scripted

import branchline as bl
from branchline.lang.backend.base import Capabilities
from branchline.lang.errors import InternalError
from branchline.lang.transcript import Transcript
from branchline.runtime.protocol import Text, Tokens


def test_healed_tokens_replace_the_end_of_the_text_in_the_log():
    transcript = Transcript()
    transcript.add_text("see http:")
    transcript.add_output("//x", [5, 6], healed_chars=1)
    assert transcript.text == "see http://x"
    assert transcript.parts == [Text("see http"), Tokens([5, 6])]


def test_a_text_that_was_healed_whole_leaves_no_part():
    transcript = Transcript()
    transcript.add_text(":")
    transcript.add_output("//", [5], healed_chars=1)
    assert transcript.parts == [Tokens([5])]


def test_more_than_the_text_has_cannot_be_healed():
    transcript = Transcript()
    transcript.add_text(":")
    with pytest.raises(InternalError, match="cannot be healed"):
        transcript.add_output("//", [5], healed_chars=2)


def test_a_call_says_that_it_wants_healing():
    @bl.function
    def program(s):
        s += "a" + bl.gen("x", token_healing=True) + "b" + bl.gen("y")

    model = Scripted(capabilities=Capabilities(token_healing=True))
    program.run(backend=model).sync()
    assert [call.sampling.token_healing for call in model.calls] == [True, False]


def test_a_backend_without_it_refuses_before_the_call(model: Scripted):
    @bl.function
    def program(s):
        s += "a" + bl.gen("x", token_healing=True)

    with pytest.raises(bl.InvalidRequest, match="does not offer token healing"):
        program.run(backend=model)["x"]
    assert model.calls == []
