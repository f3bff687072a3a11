"""What is kept: SQLite and files; blocks, never awaits, knows no peers."""
