"""Certificates and the contexts that TLS is spoken with, for nodes and clients."""
