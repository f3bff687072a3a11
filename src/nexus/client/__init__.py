"""What a program needs to use a node like SQLite: DB-API 2.0 over a session.

It imports nothing of a node, so that it can be shipped alone.
"""
