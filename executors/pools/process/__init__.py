"""The pool of processes: the parent's half, the child's, and what goes between them."""
