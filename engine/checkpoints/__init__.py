"""Checkpoints: the document, its text, the fence, and the capabilities of checkpointers."""
