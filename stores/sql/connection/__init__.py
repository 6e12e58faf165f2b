"""Connections, transactions and the two dialects; nothing here knows about steps."""
