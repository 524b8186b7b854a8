"""From rows to a model: splits, features, candidates, search, calibration, threshold, leaks."""
