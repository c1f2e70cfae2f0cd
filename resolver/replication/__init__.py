"""Copies of a store on other servers: what a primary sends, and how a mirror takes and keeps it."""
