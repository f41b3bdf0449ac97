"""Inputs that no one would write, for everything that reads what users bring."""
