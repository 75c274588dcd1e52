"""The views in PostgreSQL: how rows are kept, moved on by events, and asked for."""
