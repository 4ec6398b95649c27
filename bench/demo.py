"""Tokens per second of the runtime against `transformers` generate on the embedded model.

Same weights, prompts and dtype, greedy, the same number of new tokens, two ways of running:

- `transformers`: one left-padded batch through `generate`, in this process.
- `branchline`: as many concurrent requests to a runtime process over ZeroMQ; cold (cache flushed
  before each round) and warm (prompts in the radix cache, as in every later call of a program).
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import branchline as bl
from branchline.lang.loop import shared_loop
from branchline.runtime import protocol

from .report import Report, arguments, finish, interleaved

BATCH_SIZES = (1, 8, 32)


def main() -> None:
    options = arguments(__doc__.splitlines()[0]).parse_args()
    new_tokens, rounds = (48, 3) if options.quick else (96, 7)
    report = Report("demo")
    with bl.Runtime(model_path="embedded") as runtime:
        baseline = TransformersBaseline(runtime.endpoint.model_info.path)
        prompts = load_prompts(baseline)
        for batch in BATCH_SIZES:
            measure(report, runtime.endpoint, baseline, prompts[:batch], new_tokens, rounds)
    finish(report, options, plot)


class TransformersBaseline:
    """`AutoModelForCausalLM.generate` on the same checkpoint, in the runtime's dtype."""

    def __init__(self, model_path: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(model_path, padding_side="left")
        self.models = {
            dtype: AutoModelForCausalLM.from_pretrained(model_path, dtype=dtype).eval()
            for dtype in (torch.float32, torch.bfloat16)
        }

    def generate(self, prompts: list[list[int]], new_tokens: int, dtype: str) -> list[list[int]]:
        """The `new_tokens` greedy tokens after each prompt; end tokens do not end it."""
        batch = self.tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
        with self.torch.inference_mode():
            tokens = self.models[getattr(self.torch, dtype)].generate(
                **batch,
                do_sample=False,
                min_new_tokens=new_tokens,
                max_new_tokens=new_tokens,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        return [row[-new_tokens:] for row in tokens.tolist()]


def load_prompts(baseline: TransformersBaseline) -> list[list[int]]:
    """The demo's documents as chat prompts, in token ids."""
    documents = Path(bl.__file__).parent / "frontend_examples" / "data" / "documents.jsonl"
    texts = [json.loads(line)["text"] for line in documents.read_text().splitlines()]
    return [
        baseline.tokenizer.apply_chat_template(
            [
                {"role": "system", "content": "Extract a record from the document as JSON."},
                {"role": "user", "content": text},
            ],
            add_generation_prompt=True,
            return_dict=False,
        )
        for text in texts
    ]


def measure(
    report: Report,
    endpoint: bl.RuntimeEndpoint,
    baseline: TransformersBaseline,
    prompts: list[list[int]],
    new_tokens: int,
    rounds: int,
) -> None:
    """One batch size: the three contenders in turns, then their ratios."""
    ids: dict[str, list[list[int]]] = {}

    def transformers(dtype: str) -> float:
        start = time.perf_counter()
        ids[dtype] = baseline.generate(prompts, new_tokens, dtype)
        return time.perf_counter() - start

    def runtime(cold: bool) -> float:
        if cold:
            endpoint.flush_cache()
        start = time.perf_counter()
        ids["branchline"] = shared_loop().run(generate_all(endpoint, prompts, new_tokens))
        return time.perf_counter() - start

    seconds, _ = interleaved(
        {
            "transformers float32": lambda: transformers("float32"),
            "transformers bfloat16": lambda: transformers("bfloat16"),
            "branchline cold": lambda: runtime(cold=True),
            "branchline warm": lambda: runtime(cold=False),
        },
        rounds,
    )
    tokens = len(prompts) * new_tokens
    best = min(seconds["transformers float32"], seconds["transformers bfloat16"])
    batch = f"batch {len(prompts)}"
    for way in ("cold", "warm"):
        own = seconds[f"branchline {way}"]
        report.add(
            f"tokens/s over transformers, {batch}, {way}",
            best / own,
            "x",
            goal=1.0,
            detail=f"{tokens / own:,.0f} against {tokens / best:,.0f} tokens/s "
            "(the faster of float32 and bfloat16)",
        )


async def generate_all(
    endpoint: bl.RuntimeEndpoint, prompts: list[list[int]], new_tokens: int
) -> list[list[int]]:
    """Send every prompt at once and wait for all answers."""
    sampling = protocol.SamplingParams(
        max_new_tokens=new_tokens, temperature=0.0, ignore_eos=True, skip_special_tokens=False
    )

    async def one(prompt: list[int]) -> list[int]:
        done = await endpoint.generate([protocol.Tokens(prompt)], sampling)
        return done.outputs[0].token_ids

    return list(await asyncio.gather(*(one(prompt) for prompt in prompts)))


def plot(report: Report, path: Path) -> None:
    """Bars: the ratio at each batch size, cold and warm."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for offset, way in ((-0.2, "cold"), (0.2, "warm")):
        values = [row.value for row in report.rows if row.metric.endswith(way)]
        positions = [index + offset for index in range(len(values))]
        bars = axes.bar(positions, values, 0.4, label=f"radix cache {way}")
        axes.bar_label(bars, fmt="%.1fx")
    axes.axhline(1.0, color="black", linewidth=1)
    axes.set_xticks(range(len(BATCH_SIZES)), [f"batch {size}" for size in BATCH_SIZES])
    axes.set_ylabel("tokens/s, times transformers generate")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
