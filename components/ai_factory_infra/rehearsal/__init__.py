"""A whole provisioning, watched before there is an account: the real programs, the real engine, an emulator for AWS."""
