"""What a durable function has recorded: document, text, fence, and what a checkpointer can do."""
