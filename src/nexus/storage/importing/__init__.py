"""How a data directory comes of what is there: a database, or a backup."""
