"""A component library for machine-learning stacks on AWS, on Pulumi: secure by default, every AWS limit checked before a resource exists."""
