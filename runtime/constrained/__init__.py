"""Grammars: constraints to token masks; used by the engine process and the scheduler."""

from .base import Grammar, GrammarLimits, Matcher
from .compiler import GrammarCompiler, build_language

__all__ = ["Grammar", "GrammarCompiler", "GrammarLimits", "Matcher", "build_language"]
