"""The KV pool and the slot allocator."""
