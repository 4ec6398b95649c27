"""The front process's command line: `python -m branchline.runtime.server --model PATH ...`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from dataclasses import dataclass, field
from typing import Final

from ..engine.config import (
    ATTENTION_BACKENDS,
    DTYPES,
    GRAMMAR_BACKENDS,
    KV_DTYPES,
    OVERLAPS,
    POLICIES,
    QUANTIZATIONS,
    SPECULATIONS,
    EngineConfig,
)
from ..memory.quotas import CacheQuota, is_quota
from ..writable import check_writable, check_writable_folder
from .flags import DefaultsShown, FlagParser
from .flags import UsageError as UsageError
from .flight import Limits
from .http.quota import Quota
from .http.settings import HttpSettings, parse_http

API_KEY_VARIABLE: Final = "BRANCHLINE_API_KEY"


@dataclass(frozen=True, slots=True)
class Options:
    """What a front process is told at its start.

    bind: "ipc" for a socket in a fresh private directory, ipc:///path, or tcp://address:port.
    curve: the secret key's file and the folder of the clients' public keys.
    http: where HTTP is served, if it is.
    log_format: "text" or "json"; log_requests: whether each request gets a line.
    ready_fd: a pipe that gets one line of JSON: {"address": ..., "http": ...} or
        {"error": ...}.
    address_file: gets the address when the runtime is ready.
    parent_pid: exit when this process is not the parent any more.
    drain_s: how long running requests may go on after SIGTERM.
    engine_start_s: how long the engine may load.
    engine_hang_s: an engine whose loop stands still for this long is killed and started again;
        None for what the engine itself thinks right.
    """

    engine: EngineConfig
    limits: Limits = field(default_factory=Limits)
    bind: str = "ipc"
    curve: tuple[str, str] | None = None
    http: HttpSettings | None = None
    log_format: str = "text"
    log_requests: bool = False
    ready_fd: int | None = None
    address_file: str | None = None
    parent_pid: int | None = None
    drain_s: float = 5.0
    engine_start_s: float = 600.0
    engine_hang_s: float | None = None


_EXAMPLES: Final = """\
examples:
  branchline serve                                the embedded model, for programs on this machine
  branchline serve --http 127.0.0.1:8000          OpenAI's API and the page http://127.0.0.1:8000/ui
  branchline serve --model org/name --http 127.0.0.1:8000 --dtype bfloat16 --kv-slots 65536
  BRANCHLINE_API_KEY=a-long-secret branchline serve --http 0.0.0.0:8000
  branchline serve --config branchline.toml       settings from the file's table [serve]

Every option also has a variable (--kv-slots: BRANCHLINE_SERVE_KV_SLOTS) and a key of the same name
under [serve] in the file that --config or BRANCHLINE_CONFIG names. Flags win over variables, those
over the file; a name that is none is refused.
"""


def build_parser() -> FlagParser:
    """Every option; what it parses is for `parse` to judge."""
    parser = FlagParser(
        prog="branchline serve",
        description="Keep a runtime up for programs to connect to, and with --http for HTTP "
        "clients and the web page at /ui.",
        epilog=_EXAMPLES,
        formatter_class=DefaultsShown,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        default="embedded",
        help="directory with a Hugging Face checkpoint, a hub id, or 'embedded' (default)",
    )
    parser.add_argument(
        "--bind",
        default="ipc",
        metavar="ADDR",
        help="ipc (default: a socket in a fresh private directory), ipc:///path, or "
        "tcp://127.0.0.1:PORT; with keys any tcp://ADDRESS:PORT",
    )
    parser.add_argument(
        "--curve-key",
        metavar="FILE",
        help="this server's secret key (NAME.key_secret), for clients on other machines; "
        "`python -m branchline.runtime.server.curve DIR NAME` makes one",
    )
    parser.add_argument(
        "--curve-clients", metavar="DIR", help="folder of the clients' public keys (NAME.key)"
    )
    parser.add_argument(
        "--address-file", metavar="FILE", help="write the address there once the runtime is ready"
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="of the lines on stderr"
    )
    parser.add_argument(
        "--log-requests",
        action="store_true",
        help="a line for every request: tokens, times, outcome; never its text",
    )
    http = parser.add_argument_group("HTTP")
    http.add_argument(
        "--http",
        metavar="HOST:PORT",
        help="serve HTTP too (OpenAI's API and others), for example at 127.0.0.1:8000",
    )
    http.add_argument(
        "--api-key",
        action="append",
        default=[],
        metavar="KEY",
        help=f"HTTP clients must show it; may be repeated. Others on this machine can read command "
        f"lines: the environment variable {API_KEY_VARIABLE} takes one or more, too (with spaces)",
    )
    http.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name that HTTP clients may call this server by; may be repeated (default: this "
        "machine's loopback names; with API keys any)",
    )
    http.add_argument(
        "--keys-file",
        metavar="FILE",
        help="more API keys, as [[key]] tables of TOML with sha256 (of the key) and, if you like, "
        "requests_per_s and concurrency",
    )
    http.add_argument("--key-rate", type=float, metavar="N", help="requests per second of one key")
    http.add_argument(
        "--key-concurrency", type=int, metavar="N", help="requests of one key at a time"
    )
    engine = parser.add_argument_group("engine")
    engine.add_argument("--dtype", choices=DTYPES, default="auto", help="of weights")
    engine.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    engine.add_argument(
        "--attention-backend",
        choices=ATTENTION_BACKENDS,
        default="auto",
        help="cpu: C++, compiled at its first use; triton: on a GPU; torch: anywhere (default: the "
        "first that can)",
    )
    engine.add_argument(
        "--kv-dtype",
        choices=KV_DTYPES,
        default="auto",
        help="of keys and values; half the memory: int8 on a CPU, float8 with triton (default: as "
        "--dtype)",
    )
    engine.add_argument(
        "--quantization",
        choices=QUANTIZATIONS,
        default="none",
        help="of the weights while they are loaded; int4: groups of 32; fp8: on a GPU (none)",
    )
    engine.add_argument(
        "--deterministic",
        action="store_true",
        help="the same request, the same bits, whatever runs beside it; on a CPU, a little slower",
    )
    engine.add_argument("--context-length", type=int, help="longest sequence (default: model's)")
    engine.add_argument(
        "--kv-slots", type=int, help="tokens that the KV cache holds (default: by memory)"
    )
    engine.add_argument(
        "--kv-memory-fraction",
        type=float,
        help="of free memory, for the KV cache (default: 0.5, and on a CPU at most 2 GiB)",
    )
    engine.add_argument("--max-running", type=int, default=64, help="sequences run together")
    engine.add_argument("--chunk-tokens", type=int, default=512, help="new tokens per step")
    engine.add_argument("--num-threads", type=int, help="of torch on the CPU, at most 1024")
    engine.add_argument("--policy", choices=POLICIES, default="lpm", help="who waits least")
    engine.add_argument(
        "--no-jump-forward",
        dest="jump_forward",
        action="store_false",
        help="sample tokens, too, that a grammar leaves no choice for",
    )
    engine.add_argument(
        "--speculation",
        choices=SPECULATIONS,
        default="auto",
        help="guess tokens from the text before and compute them together; the output stays the "
        "same (default: where it pays)",
    )
    engine.add_argument(
        "--draft-tokens", type=int, default=8, help="guessed per step and sequence at most"
    )
    engine.add_argument(
        "--overlap",
        choices=OVERLAPS,
        default="auto",
        help="take the tokens of a step while the next one is computed; the output stays the same "
        "(default: on a GPU, and on a CPU where it pays)",
    )
    engine.add_argument("--seed", type=int, default=0, help="for calls that name none")
    engine.add_argument(
        "--profile-dir", metavar="DIR", help="clients may ask for profiles of the engine, put there"
    )
    cache = parser.add_argument_group("cache")
    cache.add_argument(
        "--cache-file",
        metavar="FILE",
        help="load the cache from there at the start, if it is this model's, and save it there at "
        "the end",
    )
    cache.add_argument(
        "--host-cache-tokens",
        type=int,
        default=0,
        metavar="N",
        help="evicted tokens to keep in the host's memory, below a KV cache on a device",
    )
    cache.add_argument(
        "--disk-cache",
        metavar="FOLDER",
        help="keep there what is driven out of the host's memory, for later runtimes, too",
    )
    cache.add_argument(
        "--disk-cache-bytes",
        type=int,
        default=10 * 1024**3,
        metavar="N",
        help="what its files may take",
    )
    cache.add_argument(
        "--namespace-quota",
        action="append",
        default=[],
        metavar="NAME=QUOTA",
        help="what requests of others never evict of a namespace: a number of cached tokens, or "
        "memory like 512MiB; may be repeated",
    )
    cache.add_argument(
        "--max-pinned-fraction", type=float, default=0.5, help="of the KV cache, for pins"
    )
    cache.add_argument(
        "--cache-events",
        type=int,
        default=0,
        metavar="N",
        help="changes of the cache to keep for a router that asks GET /cache/events",
    )
    engine.add_argument(
        "--grammar-backend",
        choices=GRAMMAR_BACKENDS,
        default="auto",
        help="makes the masks of constraints that name none: ours for regexes and choices, else "
        "xgrammar",
    )
    limits = parser.add_argument_group("limits")
    defaults = Limits()
    limits.add_argument(
        "--max-waiting",
        type=int,
        default=defaults.max_waiting_sequences,
        help="sequences that may wait; more are refused as overloaded",
    )
    limits.add_argument(
        "--grammar-timeout-s",
        type=float,
        default=EngineConfig().grammar_timeout_s,
        help="that a request waits for its grammar; 2 s of processor time are its limit anyway",
    )
    limits.add_argument(
        "--request-timeout-s",
        type=float,
        default=defaults.request_timeout_s,
        help="for requests that name no timeout of their own",
    )
    limits.add_argument(
        "--engine-silence-s",
        type=float,
        default=defaults.engine_silence_s,
        help="an engine that did not answer for this long is not ready",
    )
    limits.add_argument(
        "--engine-hang-s",
        type=float,
        help="an engine whose loop stands still for this long is killed and started again "
        "(default: 1.5 on a CPU, more where torch computes long layers there; 60 on a GPU)",
    )
    limits.add_argument(
        "--session-ttl-s",
        type=float,
        default=defaults.session_ttl_s,
        help="a state's tokens are held for this long after its last call",
    )
    limits.add_argument(
        "--session-tokens",
        type=int,
        default=defaults.session_tokens,
        help="tokens that all states together may hold (4 bytes each); more than that, and those "
        "not used for longest send their prompt anew",
    )
    limits.add_argument("--drain-s", type=float, default=5.0, help="grace after SIGTERM")
    # For the launcher, which is told through them.
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parent-pid", type=int, help=argparse.SUPPRESS)
    return parser


def parse(argv: list[str]) -> Options:
    """Options from arguments. Raises UsageError."""
    parser = build_parser()
    given = parser.read(argv)
    names = {item.name for item in dataclasses.fields(EngineConfig)}
    try:
        config = EngineConfig(
            namespace_quotas=_quotas(given.namespace_quota),
            **{key: value for key, value in vars(given).items() if key in names},
        )
        for flag, path in (
            ("--cache-file", given.cache_file),
            ("--address-file", given.address_file),
        ):
            if path is not None:
                check_writable(flag, path)
        if given.disk_cache is not None:
            check_writable_folder("--disk-cache", given.disk_cache)
    except ValueError as error:
        parser.error(str(error))
    http_settings = None
    keys = [*given.api_key, *os.environ.get(API_KEY_VARIABLE, "").split()]
    try:
        if given.http is not None:
            http_settings = parse_http(
                given.http,
                keys,
                given.allowed_host,
                keys_file=given.keys_file,
                quota=Quota(given.key_rate, given.key_concurrency),
            )
    except ValueError as error:
        parser.error(str(error))
    if http_settings is not None:
        # What each key may keep in the cache is the engine's to see to.
        kept = {
            namespace: quota.cache_quota
            for namespace, quota in http_settings.quotas.items()
            if quota.cache_quota is not None
        }
        config = dataclasses.replace(config, namespace_quotas={**config.namespace_quotas, **kept})
    for_http = ("api_key", "allowed_host", "keys_file", "key_rate", "key_concurrency")
    if given.http is None and any(getattr(given, name) for name in for_http):
        parser.error("API keys, their quotas and --allowed-host need --http")
    if (given.curve_key is None) != (given.curve_clients is None):
        parser.error("--curve-key and --curve-clients need each other")
    if given.curve_key is not None and not given.bind.startswith("tcp://"):
        parser.error("--curve-key is for --bind tcp://ADDRESS:PORT; a socket file needs no keys")
    if not 0 < given.request_timeout_s <= 86_400 or not 0 <= given.drain_s <= 3_600:
        parser.error("--request-timeout-s must be in (0, 86400] and --drain-s in [0, 3600]")
    if not given.session_ttl_s > 0 or given.session_tokens < 0:
        parser.error("--session-ttl-s must be above 0 and --session-tokens at least 0")
    for name in ("engine_hang_s", "engine_silence_s"):
        seconds = getattr(given, name)
        if seconds is not None and not 0 < seconds <= 86_400:
            flag = "--" + name.replace("_", "-")
            parser.error(f"{flag} must be in (0, 86400], not {seconds:g}")
    return Options(
        engine=config,
        limits=Limits(
            max_waiting_sequences=given.max_waiting,
            request_timeout_s=given.request_timeout_s,
            engine_silence_s=given.engine_silence_s,
            session_ttl_s=given.session_ttl_s,
            session_tokens=given.session_tokens,
        ),
        bind=given.bind,
        curve=(given.curve_key, given.curve_clients) if given.curve_key is not None else None,
        http=http_settings,
        log_format=given.log_format,
        log_requests=given.log_requests,
        ready_fd=given.ready_fd,
        address_file=given.address_file,
        parent_pid=given.parent_pid,
        drain_s=given.drain_s,
        engine_hang_s=given.engine_hang_s,
    )


def _quotas(texts: list[str]) -> dict[str, CacheQuota]:
    """NAME=QUOTA by name. Raises ValueError."""
    quotas: dict[str, CacheQuota] = {}
    for text in texts:
        name, _, given = text.partition("=")
        quota: CacheQuota = int(given) if given.isdecimal() else given
        if not re.fullmatch(r"[A-Za-z0-9_.:-]{0,64}", name) or not is_quota(quota):
            raise ValueError(
                "--namespace-quota is NAME=QUOTA, for example team-a=4096 (tokens) or "
                f"team-a=512MiB, not {text!r}"
            )
        quotas[name] = quota
    return quotas


def ready_fd_of(argv: list[str]) -> int | None:
    """The launcher's pipe, found even among arguments that do not parse."""
    for argument in argv:
        name, _, value = argument.partition("=")
        if name == "--ready-fd" and value.isdecimal():
            return int(value)
    return None
