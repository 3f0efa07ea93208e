"""What people wrote -> jobs, systems, prices, and what was assumed where they said nothing."""
