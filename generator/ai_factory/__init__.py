"""The ai-factory command and its composition engine."""

# The same as in pyproject.toml, where a test compares; reading package metadata costs as much as rendering two layers.
__version__ = "0.1.0"
