"""The language: programs of text, generation calls, forks and roles. Imports no torch."""
