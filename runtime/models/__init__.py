"""Decoder families, the checkpoint loader, and the embedded model."""
