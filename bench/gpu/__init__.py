"""`python -m bench.gpu`: the GPU path checked and timed in one call; see `__main__.py`."""
