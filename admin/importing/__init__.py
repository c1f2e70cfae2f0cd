"""Files of identifiers into the store: reading rows, checking them, writing them in batches."""
