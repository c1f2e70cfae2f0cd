"""Batch files of the Handle software in service: read, run against a server, and logged as that software does."""
