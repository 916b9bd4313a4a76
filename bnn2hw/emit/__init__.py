"""Writes the build directory through ``templates/``."""
