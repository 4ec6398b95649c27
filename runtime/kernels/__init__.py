"""Attention over KV slots: one interface, several implementations."""
