"""Helpers of the tests: independent references, made-up images and sets, processes to kill."""
