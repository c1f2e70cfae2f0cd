"""Tests of the walk: its parts, and a world of simulated servers in virtual time."""
