"""How good a model is, with intervals, and the gates that hold it to what was agreed."""
