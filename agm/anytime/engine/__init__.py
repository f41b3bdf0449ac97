"""The generator as it is used: the same images from less work."""
