"""Measures Stepwell on PostgreSQL beside the raw limit and its peers on the same server."""
