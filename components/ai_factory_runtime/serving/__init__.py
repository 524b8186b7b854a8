"""The model behind HTTP."""
