"""Plans carried out: training runs, services, and what was measured on the way."""
