"""Taking back what the master's history lacks, and keeping it as rows."""
