"""What is decided of a conversion before any weight is written."""
