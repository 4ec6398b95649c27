"""Few-shot classification: the model scores each label after some solved examples.

`select` compares the labels' probabilities, so the answer is always one of them. The examples are
the same for every text: the runtime computes them once. The embedded model does this job.
"""

from __future__ import annotations

import branchline as bl

LABELS = ["billing", "shipping", "technical", "returns"]
EXAMPLES = [
    ("I was charged twice for the same order.", "billing"),
    ("The parcel should have been here on Monday.", "shipping"),
    ("The app closes whenever I open the settings.", "technical"),
    ("The shoes are too small, I would like to send them back.", "returns"),
]


@bl.function
def classify(s: bl.ProgramState, text: str) -> str:
    s += "Sort each message into one of: " + ", ".join(LABELS) + ".\n\n"
    for message, label in EXAMPLES:
        s += f"Message: {message}\nLabel: {label}\n\n"
    s += f"Message: {text}\nLabel: "
    s += bl.select("label", choices=LABELS)
    return str(s["label"])


def classify_all(texts: list[str], backend: object = None) -> list[tuple[str, float]]:
    """Each text's label, and how far its mean log probability is ahead of the next one."""
    results = []
    for state in classify.run_batch([{"text": text} for text in texts], backend=backend):
        meta = state.get_meta_info("label") or {}
        first, second, *_ = sorted(meta["normalized_prompt_logprobs"], reverse=True)
        results.append((state["label"], first - second))
    return results


if __name__ == "__main__":
    mails = ["Where is my package?", "Why is there a fee on my invoice?", "The screen stays black."]
    with bl.Runtime() as runtime:
        for mail, (label, lead) in zip(mails, classify_all(mails, runtime), strict=True):
            print(f"{label:10} (ahead by {lead:.2f})  {mail}")
