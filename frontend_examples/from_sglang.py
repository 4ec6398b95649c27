"""A program written for SGLang; the import is the only line that was changed.

    import sglang as sgl          # before
    import branchline as sgl      # after

docs/guide/from_sglang.md lists the differences that a program can notice.
"""

import branchline as sgl


@sgl.function
def tool_use(s, question):
    s += "To answer this question: " + question + ". "
    s += "I need to use a "
    s += sgl.gen("tool", choices=["calculator", "search engine"]) + ". "
    if s["tool"] == "calculator":
        s += "The math expression is: " + sgl.gen("expression", max_tokens=16, stop="\n")
    elif s["tool"] == "search engine":
        s += "The key word to search is: " + sgl.gen("word", max_tokens=16, stop="\n")


@sgl.function
def tip_suggestion(s, topic):
    s += "Here are two tips for " + topic + ": 1. Balanced diet. 2. Regular exercise.\n\n"
    forks = s.fork(2)
    for i, f in enumerate(forks):
        f += f"Now, expand tip {i + 1} into a paragraph:\n"
        f += sgl.gen("detailed_tip", max_tokens=32, stop="\n\n")
    s += "Tip 1:" + forks[0]["detailed_tip"] + "\n"
    s += "Tip 2:" + forks[1]["detailed_tip"] + "\n"
    s += "In summary" + sgl.gen("summary", max_tokens=32)


@sgl.function
def multi_turn(s, question_1, question_2):
    s += sgl.system("You are a helpful assistant.")
    s += sgl.user(question_1)
    s += sgl.assistant(sgl.gen("answer_1", max_tokens=32))
    with s.user():
        s += question_2
    with s.assistant():
        s += sgl.gen("answer_2", max_tokens=32)


def main(backend: object) -> None:
    sgl.set_default_backend(backend)
    try:
        state = tool_use.run(question="What is 23 times 7?", temperature=0)
        print(state.text())

        states = tip_suggestion.run_batch(
            [{"topic": "staying healthy"}, {"topic": "sleeping well"}], temperature=0
        )
        print([s["summary"] for s in states])

        state = multi_turn.run(
            question_1="What is the capital of France?",
            question_2="And of Italy?",
            temperature=0,
            stream=True,
        )
        for out in state.text_iter():
            print(out, end="", flush=True)
        for m in state.messages():
            print(m["role"], ":", m["content"])
    finally:
        sgl.set_default_backend(None)


if __name__ == "__main__":
    runtime = sgl.Runtime(model_path="embedded")
    main(runtime)
    runtime.shutdown()
