"""The ai-factory command and its composition engine."""
