"""Local stack and deployment files."""
