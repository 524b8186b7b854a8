"""What a generated repository runs: data contract, training, gates, registry, serving, monitoring."""
