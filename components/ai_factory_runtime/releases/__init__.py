"""Versions: registry, approvals, stages, fleets of many models, and what made each."""
