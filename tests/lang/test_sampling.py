"""How a call's parameters and its run's become the wire's."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

import branchline as bl
from branchline.lang.sampling import SamplingOptions
from branchline.runtime import protocol

OPTIONS = st.builds(
    SamplingOptions,
    max_tokens=st.none() | st.integers(0, 100),
    n=st.none() | st.integers(1, 4),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0.1, 1),
    stop=st.none() | st.text(min_size=1, max_size=3) | st.lists(st.text(min_size=1), max_size=3),
    ignore_eos=st.none() | st.booleans(),
    seed=st.none() | st.integers(0, 9),
)


@given(call=OPTIONS, run=OPTIONS)
def test_a_call_wins_where_it_says_something_and_the_run_elsewhere(call, run):
    merged = call.checked("gen()").over(run.checked("run()"))
    for field in fields(SamplingOptions):
        mine, other = getattr(call, field.name), getattr(run, field.name)
        wanted = other if mine is None else mine
        if field.name == "stop" and wanted is not None:
            wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        assert getattr(merged, field.name) == wanted


@given(OPTIONS)
def test_what_passes_the_check_is_what_the_wire_takes(options):
    params = options.checked("gen()").sampling_params(["extra"])
    message = protocol.Generate(rid="r", prompt=[], sampling=params)
    assert protocol.client_messages.decode(protocol.encode(message)) == message


def test_nothing_given_means_the_wires_defaults():
    assert SamplingOptions().sampling_params() == protocol.SamplingParams()


def test_extra_stops_are_added_once():
    options = SamplingOptions(stop=["a", "b"]).checked("gen()")
    assert options.sampling_params(["b", "c"]).stop == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (SamplingOptions(), None),
        (SamplingOptions(return_logprob=False), None),
        (SamplingOptions(return_logprob=False, top_logprobs_num=2), None),
        (SamplingOptions(return_logprob=True), protocol.LogprobParams()),
        (
            SamplingOptions(return_logprob=True, logprob_start_len=-1),
            protocol.LogprobParams(prompt_start=None),
        ),
        (
            SamplingOptions(return_logprob=True, logprob_start_len=3, top_logprobs_num=2),
            protocol.LogprobParams(top=2, prompt_start=3),
        ),
        (
            SamplingOptions(top_logprobs_num=2, return_text_in_logprobs=True),
            protocol.LogprobParams(top=2, with_text=True),
        ),
    ],
)
def test_log_probabilities_are_asked_for_only_when_wanted(options, wanted):
    assert options.logprob_params() == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_tokens", -1), ("top_logprobs_num", 99), ("logprob_start_len", -2)],
)
def test_what_is_out_of_range_is_told_by_the_name_it_was_given_under(model, name, value):
    with pytest.raises(ValueError, match=rf"^gen\(\): {name}={value}: expected"):
        bl.gen(**{name: value})
    run_name = name.replace("max_", "max_new_")
    with pytest.raises(ValueError, match=rf"^run\(\): {run_name}={value}: expected"):
        bl.function(lambda s: None).run(backend=model, **{run_name: value})


def test_a_call_overrides_the_penalties_and_biases_of_its_run(model):
    @bl.function
    def program(s):
        s += "x" + bl.gen("a") + bl.gen("b", repetition_penalty=2.0, logit_bias={})

    given = {7: 1.5}
    program.run(backend=model, repetition_penalty=1.2, logit_bias=given).sync()
    given[8] = 1.0  # the caller's own
    asked = [(c.sampling.repetition_penalty, c.sampling.logit_bias) for c in model.calls]
    assert asked == [(1.2, {7: 1.5}), (2.0, {})]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"repetition_penalty": 0}, "repetition_penalty=0: expected `float` > 0.0"),
        ({"logit_bias": {7: 101.0}}, "logit_bias={7: 101.0}: expected `float` <= 100.0"),
    ],
)
def test_penalties_and_biases_out_of_range_are_refused(option, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        bl.gen("a", **option)
