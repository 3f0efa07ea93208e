"""Results made readable: the answer in words and tables, the pictures."""
