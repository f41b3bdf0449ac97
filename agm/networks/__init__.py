"""The generator, its layers and the critic."""
