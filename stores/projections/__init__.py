"""Projection stores: a SQLite file for each projection, or a schema in PostgreSQL."""
