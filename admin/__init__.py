"""The operators' faces: the command line and what it starts."""
