"""An OpenAI-compatible front before real engines: several models, shares, canaries, tenants, bounds."""
