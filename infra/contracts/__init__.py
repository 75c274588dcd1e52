"""What subscribers may hold us to: a schema for each version of each event, and what never changes in one."""
