"""What `run`, `arun`, `run_batch` and `amap` take besides the program's own arguments. Used by
function.py."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .backend.base import Backend
from .config import backend_or_default, global_config
from .early_plan import EarlyPlan
from .plan_runner import PlanRunner
from .retry import Retry
from .sampling import NO_OPTIONS, SamplingOptions, checked_timeout

# run()'s names for sampling defaults -> SamplingOptions' names
SAMPLING_NAMES = {
    "max_new_tokens": "max_tokens",
    **{
        name: name
        for name in (
            "n", "stop", "stop_token_ids", "stop_regex", "temperature", "top_p", "top_k", "min_p",
            "frequency_penalty", "presence_penalty", "ignore_eos", "return_logprob",
            "logprob_start_len", "top_logprobs_num", "return_text_in_logprobs", "seed",
            "skip_special_tokens", "repetition_penalty", "logit_bias",
        )
    },
}  # fmt: skip
RUN_NAMES = {*SAMPLING_NAMES, "stream", "backend", "use_thread", "timeout", "retry"}
_BATCH_NAMES = (
    *("backend", "num_threads", "progress_bar", "generator_style", "on_error", "checkpoint"),
    *("timeout", "retry", "compiled"),
)
# Names of other libraries, and of amap, for what is called otherwise here.
_ELSEWHERE = {
    "max_tokens": "max_new_tokens",
    "concurrency": "num_threads",
    "max_workers": "num_threads",
}


def meant(unknown: Iterable[str], known: Iterable[str]) -> str:
    """What may be meant by names that are none, for the end of an error message."""
    names = set(known)
    near: list[str] = []
    for name in sorted(unknown):
        here = _ELSEWHERE.get(name, name)
        near += [here] if here in names else difflib.get_close_matches(name, names, 1, 0.75)
    return f"; did you mean {', '.join(near)}?" if near else ""


@dataclass(frozen=True)
class RunOptions:
    """Checked options of one run, or of every instance of a batch."""

    backend: Backend
    sampling: SamplingOptions = NO_OPTIONS
    timeout_s: float | None = None
    retry: Retry | None = None
    stream: bool = False
    inline: bool = False
    # Where instances go to be run as plans; None where they are interpreted.
    plans: PlanRunner | EarlyPlan | None = None

    @property
    def asker(self) -> object:
        """Equal for runs with the same backend whose calls ask alike: all else that a call's
        parameters depend on besides the call."""
        template = self.backend.chat_template
        skips_special = global_config.skip_special_tokens_in_output
        return template, template.stop_str, self.sampling, skips_special

    @classmethod
    def of(cls, given: Mapping[str, Any], where: str) -> RunOptions:
        """From keyword arguments; `where` names the call in error messages."""
        retry = given.get("retry")
        if retry is not None and not isinstance(retry, Retry):
            raise TypeError(f"{where}: retry={retry!r}: expected bl.Retry(...) or bl.Retry.off()")
        return cls(
            backend_or_default(given.get("backend")),
            _sampling(given, where),
            checked_timeout(given.get("timeout"), where),
            retry,
            bool(given.get("stream", False)),
            not given.get("use_thread", True),
        )


def sampling_params(**given: Any) -> SamplingOptions:
    """Sampling options under run()'s names: what SGLang has as the class `SglSamplingParams`."""
    names = {**SAMPLING_NAMES, "min_new_tokens": "min_tokens"}
    unknown = given.keys() - names.keys()
    if unknown:
        hint = meant(unknown, names)
        raise TypeError(f"SglSamplingParams: unknown arguments {', '.join(sorted(unknown))}{hint}")
    own = {names[name]: value for name, value in given.items()}
    return SamplingOptions(**own).checked("SglSamplingParams", of_run=True)


def batch_options(
    backend: object,
    timeout: float | None,
    retry: Retry | None,
    sampling: Mapping[str, Any],
    where: str,
) -> RunOptions:
    """The options of a batch, whose sampling arguments are all that it takes by other names."""
    unknown = sampling.keys() - SAMPLING_NAMES.keys()
    if unknown:
        hint = meant(unknown, {*SAMPLING_NAMES, *_BATCH_NAMES})
        raise TypeError(f"{where}: unknown arguments {', '.join(sorted(unknown))}{hint}")
    return RunOptions.of(
        {**sampling, "backend": backend, "timeout": timeout, "retry": retry}, where
    )


def _sampling(given: Mapping[str, Any], where: str) -> SamplingOptions:
    values = {
        SAMPLING_NAMES[name]: value
        for name, value in given.items()
        if name in SAMPLING_NAMES and value is not None
    }
    if not values:
        return NO_OPTIONS
    try:
        return _known_options(where, **values)
    except TypeError:  # a list has no hash
        return _options(where, **values)


def _options(where: str, **values: Any) -> SamplingOptions:
    return SamplingOptions(**values).checked(where, of_run=True)


# A program is run with the same few options again and again, and they do not change.
_known_options = lru_cache(maxsize=256, typed=True)(_options)
