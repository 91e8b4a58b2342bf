"""`aipc serve` as a service of this user: started when they log in, and again when it fails."""
