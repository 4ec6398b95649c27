"""Programs to copy from. Every file here runs as it stands: `branchline run FILE.py`."""
