"""The command line of SGLang's benchmark programs (`bench_sglang.py`), and the backend that it
names."""

from __future__ import annotations

import argparse

from branchline.lang.backend.base import Backend
from branchline.lang.backend.openai import OpenAI
from branchline.lang.backend.runtime_endpoint import RuntimeEndpoint


def add_common_sglang_args_and_parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Add where the model is (`--host`, `--port`, `--backend`), `--parallel` and where results go
    to a program's own options, and read the command line."""
    parser.add_argument("--parallel", type=int, default=64)
    parser.add_argument("--host", default="http://127.0.0.1", help="of `branchline serve --http`")
    parser.add_argument("--port", type=int, default=30_000)
    parser.add_argument("--backend", default="srt", help="srt, or gpt-... for OpenAI's API")
    # A runtime's device is its own.
    parser.add_argument("--device", default="auto", help=argparse.SUPPRESS)
    parser.add_argument("--result-file", default="result.jsonl")
    parser.add_argument("--raw-result-file")
    return parser.parse_args()


def select_sglang_backend(args: argparse.Namespace) -> Backend:
    """The backend of that command line. Raises ValueError for one that is neither."""
    name: str = args.backend
    if name.startswith("gpt-"):
        return OpenAI(name)
    if not name.startswith("srt"):
        raise ValueError(f"--backend {name}: expected srt, or gpt-... for OpenAI's API")
    host = args.host if "://" in args.host else f"http://{args.host}"
    endpoint: Backend = RuntimeEndpoint(f"{host}:{args.port}")
    return endpoint
