"""What one group of ranks does: a step, its memory, number formats, engines and their software, operating points."""
