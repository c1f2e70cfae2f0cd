"""Keys, and what is signed, MACed or encrypted with them, octet for octet."""
