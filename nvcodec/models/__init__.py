"""Decode-side networks: one file a backbone, read top to bottom."""
