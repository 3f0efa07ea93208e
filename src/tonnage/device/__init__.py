"""Kinds of devices, one small module each, all with the same functions; and what each is asked to do: a small network
of a given architecture, checkpoints of it, rounding in units that formats allow.
"""
