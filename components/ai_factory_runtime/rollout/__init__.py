"""A challenger's way through a stage's traffic: state, observations, tests, decisions."""
