"""mev.raw: sources bring every input form to the same bytes."""
