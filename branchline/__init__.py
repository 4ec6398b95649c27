"""Branchline: structured-generation programs over language models (`import branchline as bl`)."""

__version__ = "0.1.0"
