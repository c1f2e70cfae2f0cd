"""Namespaces and the templates that compute handles which are not stored."""
