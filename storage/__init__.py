"""What is kept: records, homed prefixes, the journal and the node's identity, behind one narrow face."""
