"""The token tree over KV slots: match, insert, split, lock, evict."""
