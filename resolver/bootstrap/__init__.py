"""What is known of the root before anybody is asked: the standard files, read, verified, refreshed."""
