"""mev.opportunities: what happened, what could be taken, and the pool states behind both."""
