"""Worlds and questions that an operator can read, walked through in virtual time."""
