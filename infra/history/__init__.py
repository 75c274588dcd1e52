"""History: records as they were, and how they became so, however long they are."""
