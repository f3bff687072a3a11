"""How operations get into a database: merged, or row by row, with counters."""
