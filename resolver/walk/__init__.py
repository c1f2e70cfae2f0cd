"""Finding the server that answers, anywhere: a state machine without I/O, clock or chance of its own."""
