"""Benchmarks of whole training steps and of inference, beside PyTorch, Keras and JAX."""
