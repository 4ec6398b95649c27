"""Prints samples: python -m branchline.runtime.models.embedded.corpus --seed 1 --count 5."""

from __future__ import annotations

import argparse

from . import chatml, generate


def main() -> None:
    parser = argparse.ArgumentParser(description="Print samples of the synthetic corpus.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--task", default=None, help="one task instead of the mixture")
    parser.add_argument("--heldout", action="store_true", help="use the held-out wordings")
    options = parser.parse_args()
    for made in generate(options.seed, options.count, options.task, options.heldout):
        print(f"[{made.task}]\n{chatml(made.messages)}")


if __name__ == "__main__":
    main()
