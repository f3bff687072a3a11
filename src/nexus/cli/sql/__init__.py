"""`nexus sql`: one statement, a script, or a shell with history and completion."""
