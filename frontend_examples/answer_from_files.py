"""Answers from local files: find the passages that share the question's words, let the model answer
from them, and name the source.

    python answer_from_files.py FOLDER "What does the warranty cover?"

The search is plain BM25 over paragraphs, without an index or a service. Which source the answer
comes from is chosen by `select`, so it always exists.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import branchline as bl


@dataclass(frozen=True)
class Passage:
    source: str
    text: str


def read_passages(folder: Path) -> list[Passage]:
    """The paragraphs of the text files in a folder."""
    return [
        Passage(path.name, paragraph.strip())
        for path in sorted(folder.iterdir())
        if path.suffix in (".txt", ".md")
        for paragraph in re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))
        if paragraph.strip()
    ]


def search(passages: list[Passage], question: str, count: int) -> list[Passage]:
    """The passages that fit a question best, by Okapi BM25."""
    texts = [Counter(_words(passage.text)) for passage in passages]
    mean_length = sum(text.total() for text in texts) / max(1, len(texts))

    def score(text: Counter[str]) -> float:
        total = 0.0
        for word in set(_words(question)):
            having = sum(word in other for other in texts)
            rarity = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            length = 0.25 + 0.75 * text.total() / mean_length
            total += rarity * text[word] * 2.5 / (text[word] + 1.5 * length)
        return total

    ranked = sorted(zip(passages, texts, strict=True), key=lambda pair: -score(pair[1]))
    return [passage for passage, _ in ranked[:count]]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@bl.function
def answer(s: bl.ProgramState, question: str, passages: list[Passage]) -> str:
    s += bl.system("Answer the question from the passages, in one sentence.")
    shown = "\n\n".join(f"[{passage.source}]\n{passage.text}" for passage in passages)
    s += bl.user(f"{shown}\n\nQuestion: {question}")
    s += bl.assistant(bl.gen("answer", max_tokens=64, temperature=0.0))
    s += bl.user("Which file says so?")
    sources = list(dict.fromkeys(passage.source for passage in passages))
    s += bl.assistant(bl.select("source", choices=sources))
    return f"{s['answer']} [{s['source']}]"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit('usage: python answer_from_files.py FOLDER "QUESTION"')
    folder, question = Path(sys.argv[1]), sys.argv[2]
    passages = read_passages(folder) if folder.is_dir() else []
    if not passages:
        sys.exit(f"{folder}: expected a folder with text in .txt or .md files")
    with bl.Runtime() as runtime:
        found = search(passages, question, count=3)
        print(answer(question, found, backend=runtime).ret_value)
