"""A node made from nothing: its folder, its ports, its keys, its store and its prefixes."""
