"""What two nodes tell each other first, and whether they go on."""
