"""What people wrote -> jobs, systems, prices, and what was assumed. Problems name fields, never flags."""
