"""Benchmarks: `python -m bench.NAME [--quick] [--json FILE] [--plot FILE.png]`.

Every module measures its baseline in the same run and reports ratios.
"""
