"""What is read: queries, lasting views, rows in pieces, the change feed."""
