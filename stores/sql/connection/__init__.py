"""Connections, transactions and the two dialects; nothing here knows of steps."""
