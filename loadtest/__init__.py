"""Load generators and benchmarks. They speak to a node over sockets and share only the protocol with it."""
