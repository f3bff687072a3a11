"""A record shop whose database outlives the machine that it runs on."""
