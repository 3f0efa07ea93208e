"""Kinds of devices, one small module each, all with the same functions."""
