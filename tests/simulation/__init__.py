"""Seeded random worlds, each with tempers of its own."""
