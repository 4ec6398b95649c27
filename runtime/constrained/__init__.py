"""Grammars: regex, JSON schema and choices compiled into token masks."""
