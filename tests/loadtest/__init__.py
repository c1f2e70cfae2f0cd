"""Tests of the load generators and of the benchmark around them."""
