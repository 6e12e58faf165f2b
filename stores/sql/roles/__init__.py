"""What else the store does: reads, operators, messages, values, checkpoints."""
