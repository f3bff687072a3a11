"""How SQLite is opened: connections, locks, functions, what a statement may touch."""
