"""What is talked about: values that order, parse and print themselves."""
