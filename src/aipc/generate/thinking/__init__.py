"""What models write before their answers: found, counted, bounded, and switched on or off."""
