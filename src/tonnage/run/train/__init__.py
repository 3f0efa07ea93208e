"""A training run carried out: resumed after anything, moved to other devices. torch is imported when it runs."""
