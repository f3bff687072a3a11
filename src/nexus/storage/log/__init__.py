"""The log's files: segments, the tail, cursors, and the end after a crash."""
