"""tonnage: can this model be trained and served on the chips we can lawfully have?"""

__version__ = "0.1.0"
