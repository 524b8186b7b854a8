"""The project command's sub-commands and what they print."""
