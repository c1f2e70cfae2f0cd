"""What can be wrong with a node and its machine, found by looking, and what mends it."""
