"""Attention and fused operators in C++ for the CPU, built on the user's machine."""
