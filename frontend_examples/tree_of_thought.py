"""Tree of thought: several plans, each carried out and scored in its own branch; the best one wins.

After Yao et al. 2023 (arXiv:2305.10601). All branches share the question's prefix in the radix
cache. Plans and scores make sense with a model of a few billion parameters; the embedded model
shows the mechanics.
"""

from __future__ import annotations

import branchline as bl


def propose_plans(s: bl.ProgramState, question: str, width: int) -> bl.ProgramStateGroup:
    s += bl.user(f"Question: {question}\nSay in one sentence how you would solve it.")
    plans = s.fork(width)
    plans += bl.assistant(bl.gen("plan", max_tokens=48, temperature=0.8, stop="\n"))
    return plans


def carry_out(s: bl.ProgramState, width: int) -> bl.ProgramStateGroup:
    s += bl.user("Now follow this plan and give the answer.")
    answers = s.fork(width)
    answers += bl.assistant(bl.gen("answer", max_tokens=96, temperature=0.8))
    return answers


def score(s: bl.ProgramState) -> None:
    s += bl.user("How sure are you that this is right, from 1 to 5?")
    s += bl.assistant(bl.select("score", choices=["1", "2", "3", "4", "5"]))


@bl.function
def tree_of_thought(s: bl.ProgramState, question: str, width: int = 2) -> str:
    leaves: list[bl.ProgramState] = []
    for plan in propose_plans(s, question, width):
        leaves += carry_out(plan, width)
    # Nothing above waits for a result: all plans and answers are under way together.
    for leaf in leaves:
        score(leaf)
    best = max(leaves, key=lambda leaf: int(leaf["score"]))
    s["plan"], s["answer"], s["score"] = best["plan"], best["answer"], best["score"]
    return str(best["answer"])


if __name__ == "__main__":
    question = "A train leaves at 9:40 and arrives at 12:05. How long does the journey take?"
    with bl.Runtime() as runtime:
        state = tree_of_thought(question, backend=runtime)
        print(f"plan:   {state['plan']}\nanswer: {state['answer']}\nscore:  {state['score']}")
