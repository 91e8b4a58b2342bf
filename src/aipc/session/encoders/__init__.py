"""Models that read whole texts: vectors of them, and how well they answer a query."""
