"""The replica's side: its link, its log, full sync, rewind, and the way to a master."""
