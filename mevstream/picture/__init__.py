"""The picture of a slot range: what the views say of it, for a terminal and as a page."""
