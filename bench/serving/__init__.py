"""What a server in front of the engine costs and stands: `python -m bench.serving`."""
