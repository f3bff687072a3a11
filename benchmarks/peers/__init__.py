"""Synchronous commits of Nexus beside PostgreSQL's and MariaDB's, in one run."""
