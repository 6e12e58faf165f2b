"""What a worker's exchange does in one transaction: settle, propagate, claim."""
