"""The worker: it claims ready steps, hands them to pools and settles what comes back."""
