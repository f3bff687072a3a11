"""What differs from SQLite's backend in what the database can do."""

from django.db.backends.sqlite3 import features as sqlite


class DatabaseFeatures(sqlite.DatabaseFeatures):
    """SQLite's, of the SQLite that every node brings with it."""

    can_clone_databases = False
    test_db_allows_multiple_connections = True
    max_query_params = 32_766
    """Of https://sqlite.org/limits.html, as the nodes' SQLite is built."""
