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
from branchline.runtime.engine_protocol import Submit
from branchline.runtime.protocol import SamplingParams

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


def test_log_probabilities_in_bfloat16_are_nearer_to_float32_than_those_of_transformers_in_it(
    model: Path, reference: Any
) -> None:
    """Of the likeliest tokens. How far off rounding makes them is a matter of the model: with S's
    random weights 0.06 can be had, with M's it cannot (below)."""
    runner = ModelRunner(EngineConfig(str(model), dtype="bfloat16", kv_slots=512, device="cpu"))
    peer = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()
    ours, theirs = [], []
    for prompt in PROMPTS:
        ids = torch.tensor(prompt)
        places = torch.arange(len(ids))
        batch = ForwardBatch(ids, places, places, [len(ids)], [places], logit_rows=places)
        exact = logits(reference, ids)
        ours.append(off(exact, runner.forward(batch)))
        theirs.append(off(exact, logits(peer, ids)))
    found, expected = torch.cat(ours), torch.cat(theirs)
    print(f"{model.name}: ours {found.max():.4f}, {found.mean():.4f} in the mean; ", end="")
    print(f"transformers {expected.max():.4f}, {expected.mean():.4f}")
    assert found.max() <= (0.06 if model.name == "S" else 0.75 * expected.max())
    assert found.mean() <= 0.75 * expected.mean()


def test_what_rounding_the_inputs_of_products_alone_costs(model: Path, reference: Any) -> None:
    """A bound: whoever multiplies in bfloat16 rounds the inputs of the layers' products once.
    Everything else is float32 here, keys, values, logits and all sums included."""
    exact = [logits(reference, torch.tensor(prompt)) for prompt in PROMPTS]

    def rounded(_module: Any, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (inputs[0].bfloat16().float(),)

    layers = [m for m in reference.model.modules() if isinstance(m, torch.nn.Linear)]
    hooks = [layer.register_forward_pre_hook(rounded) for layer in layers]
    try:
        least = [
            off(known, logits(reference, torch.tensor(prompt)))
            for known, prompt in zip(exact, PROMPTS, strict=True)
        ]
    finally:
        for hook in hooks:
            hook.remove()
    most = torch.cat(least).max()
    print(f"{model.name}: {most:.4f} at least")
    assert (most > 0.06) == (model.name == "M")


def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(ids[None]).logits[0].float()
    return found


def off(exact: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """Of the likeliest token's log probability at each position."""
    likeliest = exact.argmax(-1, keepdim=True)
    return (found.log_softmax(-1) - exact.log_softmax(-1)).gather(1, likeliest).abs()
