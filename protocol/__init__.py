"""The Handle protocol as values: octets in, values out. Nothing here opens a socket, a file or a clock."""
