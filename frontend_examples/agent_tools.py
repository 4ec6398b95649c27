"""An agent in ten lines: the model calls tools, sees their results, and answers.

Tools are plain functions with types, async ones too. Every call that the model writes parses and
validates against the function's signature, whatever the model; an exception becomes a result that
the model sees. `bl.agent_loop` is the loop below as a function.
"""

from __future__ import annotations

from datetime import date

import branchline as bl

ORDERS = {"AB-1234": ("shipped", "2024-06-03"), "KX-7701": ("packed", "2024-06-11")}


@bl.tool
def get_order_status(order_id: str) -> dict[str, str]:
    """Status of an order"""
    status, expected = ORDERS[order_id]
    return {"status": status, "expected": expected}


@bl.tool(timeout=5)
async def get_weather(city: str, date: date | None = None) -> dict[str, str | int]:
    """Weather forecast for a city

    Args:
        date: Day of the forecast, today if left out.
    """
    return {"temperature": 10 + len(city), "condition": "sunny"}


TOOLS = [get_order_status, get_weather]


@bl.function
def agent(s: bl.ProgramState, question: str) -> str:
    """Answer a question with the help of tools, in at most four turns with calls."""
    s += bl.system("You are a helpful assistant.\n" + bl.tool_list(TOOLS))
    s += bl.user(question)
    for _ in range(4):
        s += bl.assistant(bl.tool_call("answer", TOOLS, parallel=True, temperature=0.0))
        if not s.run_tools():
            return str(s["answer"])
    s += bl.assistant(bl.tool_call("answer", TOOLS, choice="none", temperature=0.0))
    return str(s["answer"])


if __name__ == "__main__":
    with bl.Runtime() as runtime:
        for question in ("Where is my order AB-1234?", "Is it warm in Lisbon on 2024-03-15?"):
            state = agent.run(question, backend=runtime)
            for message in state.messages()[1:]:
                print(f"{message['role']:>9}: {message['content']}")
