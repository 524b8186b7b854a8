"""The training pipeline, one function a step; alone, in a row, or exported for SageMaker."""
