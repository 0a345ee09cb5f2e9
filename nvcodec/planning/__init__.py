"""What to encode together, and with how large a network."""
