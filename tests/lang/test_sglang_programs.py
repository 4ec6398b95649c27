"""Programs in the shapes that SGLang users write, on a scripted model: they run as they are."""

from __future__ import annotations

import asyncio
import re

import pytest
from scripted import Scripted

import branchline as sgl
from branchline.lang.chat_template import get_chat_template


@pytest.fixture(autouse=True)
def default_backend(model: Scripted):
    sgl.set_default_backend(model)
    yield
    sgl.set_default_backend(None)


def test_few_shot_with_bound_examples(model: Scripted) -> None:
    @sgl.function
    def few_shot_qa(s, examples, question):
        s += "The following are questions with answers.\n\n"
        s += examples
        s += "Q: " + question + "\n"
        s += "A:" + sgl.gen("answer", stop="\n", temperature=0)

    bound = few_shot_qa.bind(examples="Q: What is 1 + 1?\nA: 2\n")
    states = bound.run_batch([{"question": "Who?"}, {"question": "When?"}], temperature=0)
    assert [len(s["answer"]) for s in states] == [8, 8]


def test_mt_bench_with_run_level_stops(model: Scripted) -> None:
    @sgl.function
    def answer_mt_bench(s, question_1, question_2):
        s += sgl.system()
        s += sgl.user(question_1)
        s += sgl.assistant(sgl.gen("answer_1"))
        s += sgl.user(question_2)
        s += sgl.assistant(sgl.gen("answer_2"))

    state = answer_mt_bench.run(
        question_1="a", question_2="b", temperature=0, max_new_tokens=4, stop=["zz"]
    )
    assert state.messages()[0]["role"] == "system"
    assert model.calls[0].sampling.max_new_tokens == 4
    assert "zz" in model.calls[0].sampling.stop


def test_react_with_a_loop_over_outputs(model: Scripted) -> None:
    replies = iter(["I think", "search", "Paris", "I know", "finish", "done"])
    model.reply = lambda prompt: next(replies)

    @sgl.function
    def react(s, question):
        s += "Question: " + question + "\n"
        for i in range(1, 5):
            s += f"Thought {i}:" + sgl.gen("thought", stop=["\n"]) + "\n"
            s += "Action:" + sgl.gen("action", stop=["\n"]) + "\n"
            if s["action"] == "finish":
                break
            s += "Observation:" + sgl.gen("observation") + "\n"
        return s["thought"]

    assert react.run(question="?").ret_value == "I know"


def test_decoding_numbers_and_strings(model: Scripted) -> None:
    model.reply = lambda prompt: '"Paris"' if prompt.endswith("name: ") else "1830"

    @sgl.function
    def decode(s):
        s += "year: " + sgl.gen_int("year") + "\n"
        s += "name: " + sgl.gen_string("name") + "\n"
        s += sgl.gen("again", dtype="int", choices=None)

    state = decode()
    assert isinstance(state["year"], str)
    assert (state["year"], state["name"]) == ("1830", '"Paris"')


def test_expert_answer_with_turns_as_methods(model: Scripted) -> None:
    @sgl.function
    def expert_answer(s, question):
        s += s.user(question)
        with s.assistant():
            s += "A good person to answer this is" + sgl.gen("expert", stop=[".", "\n"]) + "."
        s += sgl.user_begin() + "Go on." + sgl.user_end()
        s += sgl.assistant_begin()
        s += sgl.gen("answer")
        s += sgl.assistant_end()

    state = expert_answer("What is the capital of France?")
    assert state.text().count("What is the capital") == 1
    assert len(state.messages()) == 4


def test_parallel_encoding(model: Scripted) -> None:
    @sgl.function
    def multi_document_qa(s, docs, question):
        s += sgl.user_begin()
        s += "Pleaes answer a question according to given documents.\n"
        forks = s.fork(len(docs))
        forks += lambda i: docs[i] + " "
        forks.join("concate_and_append")
        s += "\n" + question
        s += sgl.user_end()
        s += sgl.assistant("That is " + sgl.gen("answer", max_tokens=4))

    state = multi_document_qa.run(docs=["d1", "d2", "d3"], question="Which?")
    assert "d1 d2 d3 \nWhich?" in state.text()


def test_tree_of_thought_with_nested_forks(model: Scripted) -> None:
    def propose_plan(s, num_branches):
        forks = s.fork(num_branches)
        forks += sgl.gen("plan")
        return forks

    @sgl.function
    def tree_search(s, question, num_branches):
        s += question
        plan_forks = propose_plan(s, num_branches)
        sol_states = []
        for plan in plan_forks:
            forks = plan.fork(num_branches)
            forks += sgl.gen("answer")
            sol_states.extend(forks)
            forks.join()
        plan_forks.join()
        return sol_states

    state = tree_search.run(question="?", num_branches=2)
    assert [len(xs) for xs in state["answer"]] == [2, 2]
    assert [x for xs in state["answer"] for x in xs] == [leaf["answer"] for leaf in state.ret_value]


def test_chain_of_thought_decoding_inside_a_role(model: Scripted) -> None:
    @sgl.function
    def cot_decoding(s, question, get_top_k):
        s += sgl.user("Question: " + question + "\nAnswer:")
        s += sgl.assistant_begin()
        step_0 = s.fork(1)[0]
        forks = s.fork(get_top_k)
        fork_text = [repr(fork)[len("ProgramState(") : -1] for fork in forks]
        step_0 += sgl.gen(
            "get_top_k",
            max_tokens=0,
            return_logprob=True,
            top_logprobs_num=get_top_k,
            return_text_in_logprobs=True,
        )
        logprobs = step_0.get_meta_info("get_top_k")["output_top_logprobs"][0]
        for f, (_, _, text) in zip(forks, logprobs, strict=True):
            f += text
            f += sgl.gen(
                "answer", temperature=0, return_logprob=True, top_logprobs_num=2,
                return_text_in_logprobs=True,
            )  # fmt: skip
            meta = f.get_meta_info("answer")
            assert len(meta["output_top_logprobs"]) == len(meta["output_token_logprobs"])
        return fork_text

    state = cot_decoding.run(question="How?", get_top_k=3)
    assert state.ret_value == [state.text()] * 3


def test_scores_of_choices(model: Scripted) -> None:
    @sgl.function
    def tool_use(s, question):
        s += "To answer: " + question + ". "
        s += "I need a " + sgl.gen("tool", choices=["calculator", "search engine"])

    state = tool_use.run(question="?")
    meta = state.get_meta_info("tool")
    assert meta["input_token_logprobs"][0][0][2] == "c"
    assert len(meta["normalized_prompt_logprobs"]) == 2


def test_a_regex_of_several_lines(model: Scripted) -> None:
    character_regex = (
        r"""\{\n"""
        + r"""    "name": "[\w\d\s]{1,16}",\n"""
        + r"""    "blood status": "(Pure-blood|Half-blood|Muggle-born)"\n"""
        + r"""\}"""
    )

    @sgl.function
    def character_gen(s, name):
        s += name + " is a character.\n"
        s += sgl.gen("json_output", max_tokens=256, regex=character_regex)

    character_gen.run(name="Harry").sync()
    assert re.compile(model.calls[0].constraint.pattern)


@pytest.mark.parametrize("named", [False, True])
def test_streaming_with_and_without_a_variable(named: bool) -> None:
    @sgl.function
    def multi_turn(s, question):
        s += sgl.user(question)
        s += sgl.assistant(sgl.gen("answer"))

    state = multi_turn.run(question="?", stream=True)
    text = "".join(state.text_iter(var_name="answer") if named else state.text_iter())
    assert text == (state["answer"] if named else state.text())


def test_streaming_in_a_coroutine_with_meta_data() -> None:
    @sgl.function
    def multi_turn(s, question):
        s += sgl.user(question)
        s += sgl.assistant(sgl.gen("answer", return_logprob=True))

    async def count() -> int:
        state = multi_turn.run(question="?", stream=True)
        tokens = 0
        async for _, meta in state.text_async_iter(var_name="answer", return_meta_data=True):
            tokens += len(meta.get("output_token_logprobs", []))
        return tokens

    assert asyncio.run(count()) == 8


def test_scopes_copies_and_variables_set_by_hand() -> None:
    @sgl.function
    def program(s):
        with s.var_scope("plan"):
            s += "1. " + sgl.gen("first")
        with s.copy() as tmp:
            tmp += sgl.gen("side")
        s["score"] = 3
        s.set_var("other", s.get_var("plan"))

    state = program()
    assert state["plan"] == state["other"] == "1. " + state["first"]
    assert (state["score"], len(state["side"])) == (3, 1)


def test_a_batch_of_tuples_as_a_generator() -> None:
    @sgl.function
    def program(s, a, b="x"):
        s += a + b + sgl.gen("c")

    states = program.run_batch(
        [("1",), ("2", "y")], num_threads=2, progress_bar=False, generator_style=True
    )
    assert [s.text()[:2] for s in states] == ["1x", "2y"]


def test_a_template_that_is_set_by_hand(model: Scripted) -> None:
    model.chat_template = get_chat_template("llama-2-chat")

    @sgl.function
    def program(s):
        s += sgl.system("S")
        s += sgl.user("U")
        s += sgl.assistant(sgl.gen("a", max_tokens=1))

    assert program().text().startswith("[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST]")


def test_flushing_and_asking_the_default_backend(model: Scripted) -> None:
    assert sgl.flush_cache() is True
    assert sgl.get_server_info()["model_name"] == "scripted"
