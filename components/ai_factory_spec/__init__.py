"""The schema of usecase.yaml, its reader, and the root of every error; the one package both the generator and the runtime read."""
