"""The use case's own code: where the rows come from, what the model sees, which models are tried."""
