"""Durable functions: operations recorded once, replay, waits, and what runs in the background."""
