"""The command line: one file per command group."""

from nexus.cli.app import main

__all__ = ["main"]
