"""A whole hierarchy on loopback, each node a process of its own: made, started, shown, toured, and gone at the end."""
