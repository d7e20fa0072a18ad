"""Benchmarks of fastdl beside PyTorch, and their report (see README.md)."""
