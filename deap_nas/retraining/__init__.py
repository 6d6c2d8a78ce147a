"""What `retrain` leaves: the seeds it finished, and their tables and pictures."""
