"""Where a model computes: one file per kind of device behind the interface of `base.py`."""
