"""Finding the server that answers, anywhere in the hierarchy: a state machine without I/O, clock or chance of its own."""
