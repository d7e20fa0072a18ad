"""The textbook's modules: what would stand on ``sys.path``."""
