"""The streams that follow a dump or a request for transactions, as values."""
