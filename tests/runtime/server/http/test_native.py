"""SGLang's own API against an engine that the test plays."""

from __future__ import annotations

import itertools

import pytest
from played_front import Asker, PlayedFront

from branchline.runtime.protocol import Choices, Ebnf, Island, Islands, JsonSchema, Regex

# What SGLang's frontend sends with every call.
FRONTENDS_SAMPLING = {
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "max_new_tokens": 20,
    "min_new_tokens": 0,
    "n": 1,
    "stop": [],
    "stop_token_ids": None,
    "stop_regex": None,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "frequency_penalty": 0.0,
    "presence_penalty": 0.0,
    "ignore_eos": False,
    "regex": None,
    "json_schema": None,
}


def test_a_text_is_continued(front: PlayedFront, asker: Asker) -> None:
    answer = asker.post("/generate", text="hello", sampling_params=FRONTENDS_SAMPLING).json
    assert answer["text"] == "good island"
    meta = answer["meta_info"]
    assert meta["finish_reason"] == {"type": "stop", "matched": 2}
    assert (meta["prompt_tokens"], meta["cached_tokens"]) == (len(front.submits[0].input_ids), 3)
    assert meta["completion_tokens"] == len(answer["output_ids"])


def test_the_text_carries_markup_as_the_frontend_sends_it(front: PlayedFront, asker: Asker) -> None:
    asker.post("/generate", text="<|im_start|>a")
    asker.post("/generate", text="<|im_start|>a", markup=False)
    assert [1 in submit.input_ids for submit in front.submits] == [True, False]


def test_a_list_of_texts_gives_a_list(front: PlayedFront, asker: Asker) -> None:
    front.reply = lambda submit: front.tokenizer.decode(submit.input_ids).upper()
    answer = asker.post(
        "/generate",
        text=["one", "two"],
        sampling_params=[{"max_new_tokens": 1}, {"max_new_tokens": 50}],
    ).json
    assert [item["meta_info"]["finish_reason"]["type"] for item in answer] == ["length", "stop"]
    assert answer[1]["text"] == "TWO"


def test_a_list_of_one_text_still_gives_a_list(asker: Asker) -> None:
    assert len(asker.post("/generate", text=["one"]).json) == 1


def test_n_sequences_give_a_list(asker: Asker) -> None:
    answer = asker.post("/generate", input_ids=[5, 6], sampling_params={"n": 3}).json
    assert [item["index"] for item in answer] == [0, 1, 2]


def test_a_stream_shows_all_text_so_far(asker: Asker) -> None:
    *events, last = asker.post("/generate", text="hello", stream=True).events
    assert last == "[DONE]"
    texts = [event["text"] for event in events]
    assert all(after.startswith(before) for before, after in itertools.pairwise(texts))
    assert len(set(texts)) > 2
    assert texts[-1] == "good island"
    assert events[0]["meta_info"]["finish_reason"] is None
    assert events[-1]["meta_info"]["prompt_tokens"] > 0


def test_no_new_tokens_computes_the_prompt_only(front: PlayedFront, asker: Asker) -> None:
    answer = asker.post(
        "/generate",
        text="hello world",
        sampling_params={"max_new_tokens": 0, "temperature": 0},
        return_logprob=True,
        return_text_in_logprobs=True,
        logprob_start_len=1,
    ).json
    tokens = front.submits[0].input_ids
    assert answer["text"] == ""
    assert answer["meta_info"]["completion_tokens"] == 0
    told = answer["meta_info"]["input_token_logprobs"]
    assert [token_id for _, token_id, _ in told] == tokens[1:]
    assert "".join(text for _, _, text in told) == front.tokenizer.decode(tokens[1:])


def test_no_new_tokens_and_no_start_tell_of_the_whole_prompt(
    front: PlayedFront, asker: Asker
) -> None:
    """As SGLang's frontend asks for the likelihood of choices by themselves."""
    answers = asker.post(
        "/generate",
        input_ids=[[5, 6, 7], [8, 9]],
        sampling_params={"max_new_tokens": 0},
        return_logprob=True,
    ).json
    told = [answer["meta_info"]["input_token_logprobs"] for answer in answers]
    assert [[token_id for _, token_id, _ in tokens] for tokens in told] == [[5, 6, 7], [8, 9]]
    assert [tokens[0][0] for tokens in told] == [None, None]


def test_no_new_tokens_with_alternatives_tells_the_likeliest_next_ones(asker: Asker) -> None:
    answer = asker.post(
        "/generate",
        text="hello",
        sampling_params={"max_new_tokens": 0},
        return_logprob=True,
        top_logprobs_num=3,
    ).json
    assert (answer["text"], answer["output_ids"]) == ("", [])
    [top] = answer["meta_info"]["output_top_logprobs"]
    assert top == [[-0.25, 100, None], [-0.25, 101, None], [-0.25, 102, None]]


def test_stop_strings_and_patterns_come_alone_or_in_lists(front: PlayedFront, asker: Asker) -> None:
    asker.post("/generate", text="a", sampling_params={"stop": "x", "stop_regex": "[0-9]"})
    asker.post("/generate", text="a", sampling_params={"stop": ["x"], "stop_regex": ["[0-9]"]})
    stops = [(submit.sampling.stop, submit.sampling.stop_regex) for submit in front.submits]
    assert stops == [(["x"], ["[0-9]"])] * 2


def test_constraints_reach_the_engine(front: PlayedFront, asker: Asker) -> None:
    asker.post("/generate", text="a", sampling_params={"regex": "a+"})
    asker.post("/generate", text="a", sampling_params={"json_schema": "{}"})
    asker.post("/generate", text="a", sampling_params={"ebnf": 'root ::= "a"'})
    tag = '{"type":"structural_tag","structures":[{"begin":"<","choices":["x"]}]}'
    asker.post("/generate", text="a", sampling_params={"structural_tag": tag})
    assert [submit.constraint for submit in front.submits] == [
        Regex("a+"),
        JsonSchema("{}"),
        Ebnf('root ::= "a"'),
        Islands([Island("<", Choices(["x"]))]),
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "text"),
        ({"text": "a", "input_ids": [1]}, "text"),
        ({"text": []}, "text"),
        ({"text": "a", "sampling_params": {"top_p": 2.0}}, "top_p"),
        ({"text": "a", "sampling_params": {"max_new_tokens": -1}}, "max_new_tokens"),
        (
            {"text": "a", "sampling_params": {"ebnf": "root ::= x", "regex": "a"}},
            "sampling_params.regex",
        ),
        (
            {"text": "a", "sampling_params": {"structural_tag": "{"}},
            "sampling_params.structural_tag",
        ),
        ({"text": "a", "sampling_params": {"wat": 1}}, "sampling_params"),
        ({"text": ["a"], "sampling_params": [{}, {}]}, "sampling_params"),
        ({"text": "a", "image_data": "http://127.0.0.1/x.png"}, "image_data"),
        ({"text": "a", "top_logprobs_num": 21, "return_logprob": True}, "top_logprobs_num"),
    ],
)
def test_a_wrong_field_is_refused_by_name(
    front: PlayedFront, asker: Asker, fields: dict[str, object], param: str
) -> None:
    answer = asker.post("/generate", **fields)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert front.submits == []


def test_the_frontend_learns_which_model_is_served(asker: Asker) -> None:
    assert asker.get("/get_model_info").json["model_path"] == "/models/tiny"


@pytest.mark.parametrize("path", ["/server_info", "/get_server_info"])
def test_the_counters_are_told(front: PlayedFront, asker: Asker, path: str) -> None:
    front.stats = {"running": 4.0}
    assert asker.get(path).json["running"] == 4.0


def test_the_cache_is_flushed(asker: Asker) -> None:
    answer = asker.ask("POST", "/flush_cache")
    assert (answer.status, answer.json) == (200, {"freed_tokens": 7, "success": True})
