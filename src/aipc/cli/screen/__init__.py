"""What commands show: results, progress, tables."""
