"""The model as files: package, sketch, calibrated and compiled forms; nothing is run on load."""
