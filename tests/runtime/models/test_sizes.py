"""The models of bench.cpu, in the sizes of real ones, beside transformers. They take minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from bench.random_models import write_model
from branchline.runtime.engine.batch import ForwardBatch
from branchline.runtime.engine.config import EngineConfig
from branchline.runtime.engine.core import EngineCore
from branchline.runtime.engine.runner import ModelRunner
from branchline.runtime.protocol import SamplingParams, Submit

pytestmark = pytest.mark.nightly
NUM_NEW = 64
PROMPTS = [list(range(300 + 7 * i, 300 + 7 * i + length)) for i, length in enumerate((5, 64, 200))]


@pytest.fixture(scope="module", params=["S", "M"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(request.param, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def reference(model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()


def test_greedy_tokens_in_float32_are_those_of_transformers(model: Path, reference: Any) -> None:
    core = EngineCore(EngineConfig(str(model), dtype="float32", kv_slots=2048, device="cpu"))
    greedy = SamplingParams(max_new_tokens=NUM_NEW, temperature=0.0, ignore_eos=True)
    made: dict[int, list[int]] = {}
    for sid, prompt in enumerate(PROMPTS):
        core.submit(Submit(sid, prompt, greedy))
        made[sid] = []
    while core.has_work:
        events = core.step()
        assert not events.failed
        for progress in events.progress:
            made[progress.sid] += progress.token_ids
    for sid, prompt in enumerate(PROMPTS):
        ids = torch.tensor([prompt])
        whole = reference.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=NUM_NEW,
            max_new_tokens=NUM_NEW,
            pad_token_id=0,
        )
        assert made[sid] == whole[0, len(prompt) :].tolist()


def test_log_probabilities_in_bfloat16_are_as_near_as_those_of_transformers_in_it(
    model: Path, reference: Any
) -> None:
    """Of the likeliest tokens, from the same weights in float32. How far off rounding makes them is
    a matter of the model: with these random weights 0.1 and 0.2 at most in transformers."""
    runner = ModelRunner(EngineConfig(str(model), dtype="bfloat16", kv_slots=512, device="cpu"))
    peer = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()
    ids = torch.tensor(PROMPTS[-1])
    places = torch.arange(len(ids))
    batch = ForwardBatch(ids, places, places, [len(ids)], [places], logit_rows=places)
    with torch.inference_mode():
        exact = reference(ids[None]).logits[0].log_softmax(-1)
        theirs = peer(ids[None]).logits[0].float().log_softmax(-1)
    likeliest = exact.argmax(-1, keepdim=True)

    def off(found: torch.Tensor) -> torch.Tensor:
        return (found - exact).gather(1, likeliest).abs()

    ours = runner.forward(batch).log_softmax(-1)
    assert off(ours).mean() <= off(theirs).mean()
    assert off(ours).max() <= 1.25 * off(theirs).max()
