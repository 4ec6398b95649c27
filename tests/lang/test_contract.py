"""The names of SGLang's frontend language: where its programs import them, and what they do."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest
from scripted import Scripted

import branchline as sgl

PUBLIC = """
function gen gen_int gen_string select image video system user assistant system_begin system_end
user_begin user_end assistant_begin assistant_end separate_reasoning set_default_backend flush_cache
get_server_info Runtime RuntimeEndpoint Engine ServerArgs OpenAI Anthropic LiteLLM VertexAI Crusoe
greedy_token_selection token_length_normalized unconditional_likelihood_normalized global_config
__version__
"""
GEN = """
name max_tokens min_tokens n stop stop_token_ids stop_regex temperature top_p top_k min_p
frequency_penalty presence_penalty ignore_eos return_logprob logprob_start_len top_logprobs_num
return_text_in_logprobs dtype choices choices_method regex json_schema
"""
RUN = """
max_new_tokens n stop stop_token_ids stop_regex temperature top_p top_k min_p frequency_penalty
presence_penalty ignore_eos return_logprob logprob_start_len top_logprobs_num
return_text_in_logprobs backend
"""


@pytest.mark.parametrize("name", PUBLIC.split())
def test_every_public_name_is_there(name):
    assert hasattr(sgl, name)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("api", "function gen select user set_default_backend Runtime flush_cache"),
        ("global_config", "global_config GlobalConfig"),
        (
            "lang.api",
            "function set_default_backend flush_cache get_server_info Runtime image video",
        ),
        ("lang.ir", "SglArgument SglImage SglVideo SglVariable SglFork SglGetForkItem"),
        ("lang.ir", "SglVarScopeBegin SglVarScopeEnd SglCommitLazy SglConcateAndAppend"),
        ("lang.tracer", "TracerProgramState"),
    ],
)
def test_names_are_where_older_programs_import_them(module, names):
    found = importlib.import_module(f"branchline.{module}")
    assert [name for name in names.split() if not hasattr(found, name)] == []


def test_a_name_that_is_nowhere_is_an_attribute_error():
    for module in ("api", "lang.api", "lang.ir"):
        with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
            _ = importlib.import_module(f"branchline.{module}").no_such_name


def test_the_settings_are_the_same_under_each_name(monkeypatch):
    from branchline.global_config import global_config as by_old_path

    # Importing a submodule puts it where the settings were: both must go on working.
    monkeypatch.setattr(sgl.global_config, "verbosity", 1)
    assert by_old_path.verbosity == 1
    assert importlib.import_module("branchline.lang.config").global_config is by_old_path
    monkeypatch.setattr(by_old_path, "verbosity", 0)
    assert sgl.global_config.verbosity == 0


def test_the_default_backend_may_be_set_as_an_attribute(model: Scripted, monkeypatch):
    class Started:
        endpoint = model

    @sgl.function
    def program(s):
        s += "p" + sgl.gen("x")

    monkeypatch.setattr(sgl.global_config, "default_backend", Started())
    assert program.run()["x"] == model.reply("p")
    assert sgl.flush_cache()


def guide_rows():
    """The cells of the tables in the guide for those who come from SGLang."""
    guide = Path(__file__).parents[2] / "docs/guide/from_sglang.md"
    for line in guide.read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in re.split(r" \| ", line.strip("| "))]


def test_the_guide_names_every_name():
    runtime = "generate async_generate add_request encode get_tokenizer start_profile cache_prefix"
    told = set(re.findall(r"\w+", " ".join(cell for row in guide_rows() for cell in row)))
    assert {*PUBLIC.split(), *runtime.split()} - told == {"__version__"}
    assert [name for name in runtime.split() if not hasattr(sgl.Runtime, name)] == []


def test_every_name_that_the_guide_promises_of_a_module_is_there():
    checked = 0
    for modules, names, *_ in guide_rows():
        if not modules.startswith("`branchline.") or "*" in modules:
            continue
        for module in re.findall(r"`([\w.]+)`", modules):
            found = importlib.import_module(module)
            for name in re.findall(r"`(\w+)`", names):
                assert hasattr(found, name), f"{module}.{name}"
                checked += 1
    assert checked > 40


def test_gen_takes_its_arguments_in_the_known_order():
    names = list(inspect.signature(sgl.gen).parameters)
    assert " ".join(names[:23]) == GEN.replace("\n", " ").strip()


@pytest.mark.parametrize("extra", ["stream use_thread", "num_threads progress_bar generator_style"])
def test_run_and_run_batch_take_the_known_arguments(model: Scripted, extra):
    @sgl.function
    def program(s):
        s += sgl.gen("x")

    method = program.run if "stream" in extra else program.run_batch
    given = {
        "max_new_tokens": 8, "n": 1, "stop": "z", "stop_token_ids": [1], "stop_regex": "zz",
        "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "frequency_penalty": 0.1,
        "presence_penalty": 0.1, "ignore_eos": True, "return_logprob": True,
        "logprob_start_len": 0, "top_logprobs_num": 1, "return_text_in_logprobs": True,
        "backend": model,
    }  # fmt: skip
    assert set(given) == set(RUN.split())
    more = {"stream": False, "use_thread": False}
    if "stream" not in extra:
        more = {"num_threads": 1, "progress_bar": False, "generator_style": False}
    result = method([{}], **given, **more) if "stream" not in extra else method(**given, **more)
    (result if "stream" in extra else result[0]).sync()
    assert model.calls[0].sampling.top_k == 5


def test_the_attributes_of_a_program(model: Scripted):
    @sgl.function(num_api_spec_tokens=7)
    def program(s, a, b=2):
        pass

    assert callable(program.func)
    assert (program.num_api_spec_tokens, program.arg_names) == (7, ["a", "b"])
    assert program.bind(a=1).bind_arguments == {"a": 1}
    assert program.bind(a=1).num_api_spec_tokens == 7


def test_the_executor_of_a_state_is_open_to_programs(model: Scripted):
    @sgl.function
    def program(s):
        s += sgl.user("q") + sgl.assistant(sgl.gen("x"))

    executor = program.run(backend=model).stream_executor
    assert executor.variable_event["x"].wait()
    assert executor.variable_event["x"].is_set()
    assert executor.variables["x"] == executor.get_var("x")
    assert executor.get_meta_info("x") == executor.meta_info["x"]
    assert executor.text() == executor.text_
    assert executor.messages() == executor.messages_
    assert executor.error() is None
    assert executor.is_finished
    assert (executor.backend, executor.cur_role, executor.images_) == (model, None, [])


def test_the_event_of_a_variable_that_failed_is_set(model: Scripted):
    model.fail = lambda prompt: sgl.GenerationError("broken")

    @sgl.function
    def program(s):
        s += sgl.gen("x")

    executor = program.run(backend=model).stream_executor
    assert executor.variable_event["x"].wait()
    assert "broken" in str(executor.error())


def test_a_variable_can_be_waited_for_only_so_long(model: Scripted):
    model.hold = lambda prompt: True

    @sgl.function
    def program(s):
        s += sgl.gen("x")

    executor = program.run(backend=model).stream_executor
    with pytest.raises(TimeoutError, match="'x'"):
        executor.get_meta_info("x", timeout=0.01)
    event = executor.variable_event["x"]
    assert not event.wait(0.01)
    executor.set_variable("x", "by hand")
    with pytest.raises(TimeoutError, match="'x'"):  # of the call below
        executor.get_meta_info("x", timeout=0.01)
    model.release()
    assert event.wait(60)
    assert executor.get_meta_info("x", timeout=60) == executor.meta_info["x"]


def test_branches_have_names_of_their_own_and_know_where_they_began(model: Scripted):
    @sgl.function
    def program(s):
        s += "trunk"
        return s.fork(2)

    first, second = program.run(backend=model).ret_value
    assert first.stream_executor.sid != second.stream_executor.sid
    assert first.stream_executor.fork_start_text_pos == len("trunk")


def test_a_prefix_can_be_computed_by_hand(model: Scripted):
    model.cache_prefix("a long instruction")
    [call] = model.calls
    assert (call.text, call.sampling.max_new_tokens) == ("a long instruction", 0)
