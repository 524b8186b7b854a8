"""Files in, files out, a chunk at a time; continued after a kill."""
