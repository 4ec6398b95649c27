"""Self-consistency: several samples of the reasoning, and the answer that most of them reach.

After Wang et al. 2022 (arXiv:2203.11171). The prompt is computed once for all samples. The vote
helps models that can solve the problem at all; the embedded model shows the mechanics.
"""

from __future__ import annotations

from collections import Counter

import branchline as bl


@bl.function
def self_consistency(s: bl.ProgramState, question: str, samples: int = 5) -> tuple[int, int]:
    """The most frequent answer, and how many samples gave it."""
    s += bl.user(f"{question}\nThink in one or two sentences.")
    branches = s.fork(samples)
    branches += bl.assistant(bl.gen("thought", max_tokens=64, temperature=0.8))
    branches += bl.user("So the answer, as a number:")
    branches += bl.assistant(bl.gen("answer", schema=int, max_tokens=12, temperature=0.0))
    branches.join()
    votes = Counter(branch.value("answer", int) for branch in branches)
    return votes.most_common(1)[0]


if __name__ == "__main__":
    question = "Anna has 3 boxes with 4 pens each and gives 5 pens away. How many are left?"
    with bl.Runtime() as runtime:
        state = self_consistency(question, backend=runtime)
        answer, votes = state.ret_value
        print(f"{answer} ({votes} of {len(state['answer'])} samples)")
