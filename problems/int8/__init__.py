"""Networks in 8-bit integers, for devices that count kilobytes."""
