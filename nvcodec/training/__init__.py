"""Chooses the integers."""
