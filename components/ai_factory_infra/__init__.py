"""A component library for machine-learning stacks on AWS, on Pulumi."""
