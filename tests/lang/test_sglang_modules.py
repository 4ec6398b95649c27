"""What SGLang's submodules hold besides the public names: each imported from there and used."""

from __future__ import annotations

import argparse
import http.server
import importlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted import Scripted
from scripted_plans import ScriptedPlans

import branchline as sgl
from branchline.lang import ir
from branchline.lang.compiler import CompiledFunction, compile_func
from branchline.lang.interpreter import cache_program, run_program, run_program_batch
from branchline.lang.tracer import extract_prefix_by_tracing, trace_program
from branchline.test.test_utils import add_common_sglang_args_and_parse, select_sglang_backend
from branchline.utils import download_and_cache_file, http_request


@sgl.function
def ask(s: sgl.ProgramState, question: str, n: int = 1) -> str:
    s += "Answer in one word.\nQ: "
    s += question
    s += "\nA:" + sgl.gen("answer")
    return "ran"


def text_of(question: str) -> str:
    return f"Answer in one word.\nQ: {question}\nA:"


# --- interpreter ---


def test_run_program_runs_under_the_given_defaults(model: Scripted) -> None:
    defaults = ir.SglSamplingParams(max_new_tokens=3, min_new_tokens=2, stop="zz")
    state = run_program(ask, model, ("Who?",), {"n": 4}, defaults)
    assert state["answer"] == model.reply(text_of("Who?"))[:3]
    sampling = model.calls[0].sampling
    assert (sampling.min_new_tokens, sampling.stop, sampling.n) == (2, ["zz"], 1)
    assert state.ret_value == "ran"


def test_run_program_is_through_when_told_to_be(model: Scripted) -> None:
    state = run_program(ask, model, (), {"question": "Who?"}, sync=True)
    assert "answer" in state


def test_run_program_streams(model: Scripted) -> None:
    state = run_program(ask, model, ("Who?",), stream=True)
    assert len(list(state.text_iter("answer"))) > 1


def test_run_program_without_a_thread_ends_each_call_at_once(model: Scripted) -> None:
    @sgl.function
    def program(s: sgl.ProgramState) -> bool:
        s += sgl.gen("x")
        return "x" in s

    assert run_program(program, model, use_thread=False).ret_value is True


@pytest.mark.parametrize("generator_style", [False, True])
def test_run_program_batch_keeps_the_order(model: Scripted, generator_style: bool) -> None:
    states = run_program_batch(
        ask,
        model,
        [{"question": "a"}, ("b",)],
        ir.SglSamplingParams(temperature=0.0),
        num_threads=2,
        generator_style=generator_style,
    )
    assert isinstance(states, list) is not generator_style
    assert [state["answer"] for state in states] == [model.reply(text_of(q)) for q in "ab"]
    assert model.calls[0].sampling.temperature == 0.0


def test_an_unknown_sampling_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match="unknown arguments max_length"):
        ir.SglSamplingParams(max_length=3)


def test_cache_program_computes_the_constant_beginning(model: Scripted) -> None:
    cache_program(ask, model)
    [call] = model.calls
    assert (call.text, call.sampling.max_new_tokens) == ("Answer in one word.\nQ: ", 0)


# --- tracer, compiler ---


def test_the_constant_beginning_can_be_looked_at(model: Scripted) -> None:
    assert extract_prefix_by_tracing(ask, model) == "Answer in one word.\nQ: "
    bound = ask.bind(question="Who?")
    assert extract_prefix_by_tracing(bound, model) == text_of("Who?")
    assert model.calls == []


def test_trace_program_takes_arguments_and_leaves_symbols(model: Scripted) -> None:
    traced = trace_program(ask, {"n": 2}, model)
    assert repr(traced.nodes[1].expr) == "Argument('question')"
    assert traced.arguments["n"] == 2


def test_a_program_called_in_a_traced_body_is_traced_too(model: Scripted) -> None:
    @sgl.function
    def inner(s: sgl.ProgramState, topic: str) -> None:
        s += "About " + sgl.gen("summary") if topic is None else "About "
        s += topic
        s += sgl.gen("summary")

    @sgl.function
    def outer(s: sgl.ProgramState, topic: str) -> None:
        s += "Sum up: "
        s += inner(topic=topic)["summary"]

    traced = outer.trace(backend=model)
    printed = traced.last_node.print_graph_dfs()
    assert printed.splitlines() == [
        "%0 = Constant('Sum up: ')",
        "%1 = Constant('About ')",
        "%2 = %1 + Argument('topic')",
        "%3 = %2 + Gen('summary')",
        "%4 = %0 + Variable('summary', %3)",
    ]
    assert model.calls == []


def test_compile_func_makes_a_program_that_runs_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    planner = ScriptedPlans()
    compiled = compile_func(ask, planner)
    assert isinstance(compiled, CompiledFunction)
    assert compiled.run(question="Who?", backend=planner)["answer"]
    compiled.print_graph()
    assert "Gen('answer')" in capsys.readouterr().out


# --- ir ---


def test_a_program_is_an_sgl_function() -> None:
    assert isinstance(ask, ir.SglFunction)
    assert isinstance(ir.SglFunction(lambda s: None, num_api_spec_tokens=3), sgl.Function)


def test_separated_thinking_is_a_node_of_its_own(model: Scripted) -> None:
    model.reply = lambda prompt: "<think>hm</think>42"
    node = sgl.separate_reasoning(sgl.gen("a"), model_type="qwen3")
    assert isinstance(node, ir.SglSeparateReasoning)
    assert repr(node) == "SeparateReasoning(model_type=qwen3, name=a_reasoning_content)"

    @sgl.function
    def program(s: sgl.ProgramState) -> None:
        s += "x" + ir.SglSeparateReasoning("qwen3", sgl.gen("a")) + "y"

    state = program.run(backend=model)
    assert (state["a"], state["a_reasoning_content"], state.text()) == ("42", "hm", "x42y")


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("SglExpr", sgl.gen("a")),
        ("SglExprList", sgl.gen("a") + "x"),
        ("SglConstantText", ir.Constant("x")),
        ("SglGen", sgl.gen("a")),
        ("SglSelect", sgl.select("a", ["x"])),
        ("SglImage", sgl.image("cat.png")),
        ("SglVideo", sgl.video("cat.mp4", 2)),
        ("SglRoleBegin", sgl.user_begin()),
        ("SglRoleEnd", sgl.user_end()),
        ("SglVarScopeBegin", ir.VarScopeBegin("x")),
        ("SglVarScopeEnd", ir.VarScopeEnd("x")),
        ("SglCommitLazy", ir.CommitPrefix()),
        ("SglConcateAndAppend", ir.AppendChildren(())),
        ("SglArgument", ask.trace().nodes[1].expr),
        ("SglVariable", ask.trace()["answer"]),
    ],
)
def test_every_kind_of_node_has_its_name(name: str, node: ir.Expr) -> None:
    assert isinstance(node, getattr(ir, name))


# --- backends that are elsewhere ---


@pytest.mark.parametrize(
    ("module", "name"),
    [("litellm", "LiteLLM"), ("vertexai", "VertexAI"), ("crusoe", "Crusoe")],
)
def test_a_vendor_s_backend_is_where_programs_import_it(module: str, name: str) -> None:
    found = importlib.import_module(f"branchline.lang.backend.{module}")
    assert getattr(found, name) is getattr(sgl, name)


# --- utils.http_request ---


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 404 if self.path == "/missing" else 200
        self.send_response(status)
        self.end_headers()
        told = {"path": self.path, "key": self.headers.get("Authorization")}
        self.wfile.write(json.dumps(told).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"first\n" + body + b"\n")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_http_request_without_a_body_is_a_get_with_the_key(address: str) -> None:
    answer = http_request(f"{address}/info", api_key="secret")
    assert answer.status_code == 200
    assert answer.json() == {"path": "/info", "key": "Bearer secret"}


def test_an_http_request_with_a_body_is_a_post_and_streams(address: str) -> None:
    answer = http_request(f"{address}/generate", json={"a": 1}, stream=True)
    assert list(answer.iter_lines()) == [b"first", b'{"a": 1}']
    assert http_request(address, json=[]).text == "first\n[]\n"


def test_an_http_refusal_is_an_answer(address: str) -> None:
    answer = http_request(f"{address}/missing")
    assert (answer.status_code, answer.json()["path"]) == (404, "/missing")


def test_an_http_request_reads_no_files() -> None:
    with pytest.raises(ValueError, match="expected an http:// or https:// address"):
        http_request("file:///etc/hostname")


# --- utils.download_and_cache_file ---


def test_a_file_is_fetched_once(address: str, tmp_path: Path) -> None:
    path = str(tmp_path / "data.jsonl")
    for url in (f"{address}/data", "http://127.0.0.1:9/nobody"):
        assert download_and_cache_file(url, path) == path
    assert json.loads(Path(path).read_text())["path"] == "/data"


def test_a_file_that_is_not_there_leaves_none(address: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="/missing: HTTP status 404"):
        download_and_cache_file(f"{address}/missing", str(tmp_path / "data.jsonl"))
    assert list(tmp_path.iterdir()) == []


# --- test.test_utils ---


def parse(monkeypatch: pytest.MonkeyPatch, *words: str) -> argparse.Namespace:
    monkeypatch.setattr("sys.argv", ["bench_sglang.py", *words])
    parser = argparse.ArgumentParser()
    parser.add_argument("--num-questions", type=int, default=200)
    return add_common_sglang_args_and_parse(parser)


def test_a_benchmark_s_command_line_has_its_own_options_and_the_common_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    args = parse(monkeypatch, "--num-questions", "3", "--parallel", "8")
    assert (args.num_questions, args.parallel, args.port) == (3, 8, 30_000)
    assert (args.result_file, args.raw_result_file) == ("result.jsonl", None)


@pytest.mark.parametrize("host", ["http://127.0.0.1", "127.0.0.1"])
def test_a_benchmark_asks_the_server_of_its_command_line(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    args = parse(monkeypatch, "--host", host, "--port", "9")
    with pytest.raises(sgl.RuntimeUnavailable, match=r"http://127\.0\.0\.1:9"):
        select_sglang_backend(args)


def test_a_backend_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="--backend vllm: expected srt"):
        select_sglang_backend(parse(monkeypatch, "--backend", "vllm"))
