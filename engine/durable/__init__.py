"""Durable functions: operations recorded once, replay, waits, and background tasks."""
