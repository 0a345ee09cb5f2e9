"""A video to a file: plan, train, code, write, decode back and check."""
