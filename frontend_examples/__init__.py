"""Programs to copy from. Every file here runs as it stands, with `python FILE.py`, or says how."""
