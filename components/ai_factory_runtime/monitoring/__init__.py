"""What is captured, compared and told: drift of five kinds, late labels, retraining, notices."""
