"""Checkpointers: in memory and in files. The one in a database is in `stores.sql`."""
