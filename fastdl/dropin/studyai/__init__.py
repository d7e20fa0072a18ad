"""The course material of the reports: what would stand on ``sys.path``."""
