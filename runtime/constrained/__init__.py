"""Grammars: constraints to token masks; used by the engine process and the scheduler."""
