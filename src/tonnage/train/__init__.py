"""One training run: memory, schedule, step time, search, goodput, cost."""
