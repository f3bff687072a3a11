"""Who may speak with a node, and how: sockets, TLS, handshakes, the port."""
