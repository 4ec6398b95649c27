"""The runtime: the process that executes generation calls. See docs/architecture.md."""
