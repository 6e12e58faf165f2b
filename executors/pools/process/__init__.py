"""The process pool: the parent's half, the child's half, and the protocol between them."""
