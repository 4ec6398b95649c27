"""A judge that looks at a text from several sides at once and then sums up.

Branch-solve-merge after Saha et al. 2023 (arXiv:2310.15123): one branch per criterion, each with a
comment and a grade, merged by a last call. Comments make sense with a model of a few billion
parameters; the embedded model shows the mechanics.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

import branchline as bl

CRITERIA = {
    "clarity": "Is it easy to follow?",
    "evidence": "Are the claims supported?",
    "originality": "Does it say something new?",
}


class Verdict(BaseModel):
    grade: Literal["poor", "fair", "good", "excellent"]
    accept: bool


@bl.function
def judge(s: bl.ProgramState, text: str) -> Verdict:
    s += bl.system("You judge short texts, fairly and briefly.")
    s += bl.user(f"The text:\n\n{text}")
    branches = s.fork(len(CRITERIA))
    for branch, (name, question) in zip(branches, CRITERIA.items(), strict=True):
        branch += bl.user(f"{name.capitalize()}: {question}")
        branch += bl.assistant(bl.gen("comment", max_tokens=48, temperature=0.0, stop="\n"))
        branch += bl.user("Grade it from 1 (bad) to 5 (good).")
        branch += bl.assistant(bl.select("grade", choices=["1", "2", "3", "4", "5"]))
    branches.join()
    found = zip(CRITERIA, s["grade"], s["comment"], strict=True)
    notes = "\n".join(f"- {name}: {grade} of 5. {comment}" for name, grade, comment in found)
    s += bl.user(f"Three readers said:\n{notes}\nYour verdict as JSON:")
    s += bl.assistant(bl.gen("verdict", schema=Verdict, max_tokens=32, temperature=0.0))
    return s.value("verdict", Verdict)


if __name__ == "__main__":
    essay = "Libraries matter because they lend more than books: they lend rooms, tools and time."
    with bl.Runtime() as runtime:
        state = judge(essay, backend=runtime)
        for name, grade, comment in zip(CRITERIA, state["grade"], state["comment"], strict=True):
            print(f"{name:12} {grade}  {comment}")
        print(state.ret_value)
