"""What other nodes answered, until it is too old: values and rules, without sockets, files or a clock."""
