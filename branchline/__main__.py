"""`python -m branchline`: the command line."""

from .cli import main

main()
